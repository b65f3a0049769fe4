//! Integration tests.

mod determinism;
mod faults;
mod fit;
