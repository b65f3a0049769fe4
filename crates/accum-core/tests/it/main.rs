//! The public behaviour of accum-core, in one binary.

#![allow(clippy::disallowed_methods, reason = "tests may start threads")]

mod catalogue;
mod catalogue_sparse;
mod dense;
mod dense_numerics;
mod dense_sums;
mod fuzz;
mod layouts;
mod random_sums;
mod side_by_side;
mod slices;
mod slow;
mod sparse;
mod sparse_cycles;
mod sparse_keys;
mod sparse_large;
mod sparse_numerics;
mod sum_reader;
mod support;
mod waiting;
