//! The crate's tests from outside, as one binary.

mod carried;
mod folders;
mod fuzz;
mod malformed;
mod network;
mod recorded;
mod sensitivity;
