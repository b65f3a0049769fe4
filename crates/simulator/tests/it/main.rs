//! One integration binary: plans that are read, runs that are replayed, published numbers.

mod plans;
mod published;
mod runs;
