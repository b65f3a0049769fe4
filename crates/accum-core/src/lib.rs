//! Conditional gradient accumulators: fresh gradients are summed, stale ones dropped, the mean handed out.
mod accumulator;
mod applied;
mod dense;
mod element;
mod error;
mod gate;
mod gradient;
mod options;
mod pool;
mod shape;
mod shared;
mod slices;
mod sparse;
mod steps;
mod sync;

pub use accumulator::{Accumulator, Drained, Sums};
pub use applied::{Applied, Freshness};
pub use dense::{DenseAccumulator, DenseSum, DenseSums};
pub use element::Element;
pub use error::{ApplyError, PutBackError, SlicesError, StepOverflow, TakeError};
pub use gate::{Closed, Gate};
pub use gradient::Gradient;
pub use options::{
    DenseOptions, HalfSum, Reduction, SparseMean, SparseMerge, SparseOptions, Summation,
};
pub use pool::{BufferPool, Lent};
pub use shape::PartialShape;
pub use shared::{ConditionalAccumulator, Shared, SparseConditionalAccumulator, Taken};
pub use slices::IndexedSlices;
pub use sparse::{SparseAccumulator, SparseSum, SparseSums};
pub use steps::{GlobalStep, LocalStep};
