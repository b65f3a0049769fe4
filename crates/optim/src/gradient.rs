//! Gradients as the update reads them: dense ones tile by tile, sparse ones row by row.
//!
//! Nothing here owns or changes a gradient. Invariant: reading the same elements twice gives the
//! same values, in row-major order, whatever the memory layout.

mod dense;
mod element;
mod sparse;

pub use self::dense::{DenseGradient, Mean};
pub use self::element::GradientElement;
pub use self::sparse::SparseGradient;
pub(crate) use self::sparse::{CanonicalRows, Scattered};
