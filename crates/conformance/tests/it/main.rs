//! The crate's tests from outside, as one binary.

mod carried;
mod folders;
mod fuzz;
mod malformed;
mod recorded;
mod sensitivity;
