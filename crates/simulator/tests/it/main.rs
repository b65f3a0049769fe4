//! One integration binary: plans that are read, runs that are replayed, published numbers.

mod fuzz;
mod plans;
mod published;
mod runs;
