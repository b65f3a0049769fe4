//! Integration tests.

mod bad_input;
mod checkpoints;
mod determinism;
mod driver;
mod faults;
mod fit;
mod reference_runs;
