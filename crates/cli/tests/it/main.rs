//! The program driven as a user would.

mod accuracy;
mod bad_input;
mod fuzz;
mod program;
mod resume;
#[cfg(unix)]
mod signals;
mod usage;
