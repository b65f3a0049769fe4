//! The public behaviour of accum-core, in one binary.

mod catalogue;
mod catalogue_sparse;
mod dense;
mod dense_sums;
mod fuzz;
mod random_sums;
mod slices;
mod sparse;
mod support;
mod waiting;
