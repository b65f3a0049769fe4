//! Integration tests.

mod bad_input;
mod checkpoints;
mod determinism;
mod driver;
mod explicit;
mod faults;
mod fit;
mod hook;
mod reference_runs;
