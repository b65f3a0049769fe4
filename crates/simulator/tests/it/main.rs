//! One integration binary: plans that are read, runs that are replayed.

mod fuzz;
mod plans;
mod runs;
