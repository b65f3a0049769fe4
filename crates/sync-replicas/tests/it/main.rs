//! Integration tests.

mod bad_input;
mod batch_sampler;
mod buffers;
mod checkpoints;
mod determinism;
mod differences;
mod faults;
mod finite;
mod fit;
mod fuzz;
mod generations;
mod going_on;
mod hook;
mod loud;
mod owned;
mod panics;
mod reference_runs;
mod saved_tables;
mod seams;
mod shapes;
mod skip;
mod sparse_large;
mod tables;
mod tensorflow;
mod torn;
mod wishes;
