//! The public behaviour of accum-core, in one binary.

mod dense;
mod model;
mod sparse;
mod support;
mod waiting;
