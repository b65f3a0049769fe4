//! Conditional gradient accumulators: fresh gradients are averaged, stale ones dropped.
//!
//! A replica pushes a gradient with the step it was computed at. When that step is over, the
//! gradient is dropped and the replica is told; otherwise it is added. The thread that updates the
//! model takes the mean as soon as enough have come, which ends the step. So the slowest replicas
//! never hold up a step.
//!
//! ```
//! use accum_core::{Applied, ConditionalAccumulator, Reduction};
//! use ndarray::array;
//!
//! let acc = ConditionalAccumulator::<f32>::new([2], Reduction::Mean);
//! assert_eq!(acc.apply_grad(array![1.0, 2.0], 0)?, Applied::Accepted { count: 1 });
//! assert_eq!(acc.apply_grad(array![3.0, 6.0], 0)?, Applied::Accepted { count: 2 });
//! let taken = acc.blocking_take_grad(2)?; // or `acc.take_grad(2).await?`
//! assert_eq!(taken.value, array![2.0, 4.0].into_dyn());
//! assert!(matches!(acc.apply_grad(array![9.0, 9.0], 0)?, Applied::Stale { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Three layers
//! - [`Gate`] is the rule alone: what is late, how many came, when a step closes. It holds no data.
//! - [`DenseSums`] and [`SparseSums`] hold and add up gradients, and know no rule. Over a gate each
//!   is a plain [`Accumulator`]: [`DenseAccumulator`], [`SparseAccumulator`].
//! - [`Shared`] puts a lock and a line of waiting takes around one: [`ConditionalAccumulator`],
//!   [`SparseConditionalAccumulator`].
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | an accumulator that threads or tasks share | [`ConditionalAccumulator`] |
//! | the same of rows | [`SparseConditionalAccumulator`], fed with [`IndexedSlices`] |
//! | one with a single owner | [`DenseAccumulator`], [`SparseAccumulator`] |
//! | the rule alone, over sums of one's own | [`Gate`] |
//! | gradients as they are given | [`Gradient`], [`SparseGradient`] |
//! | what became of one | [`Applied`] |
//! | a mean as it is taken | [`Taken`]; of many ranges, a [`SumReader`] |
//! | another choice than the defaults | [`DenseOptions`], [`SparseOptions`] |
//! | no allocation in a step | a [`BufferPool`] |
//!
//! # What it is not
//! It starts no thread, reads no clock and needs no runtime; the blocking calls park the thread
//! that makes them. It knows nothing of variables, optimizers or tokens. Invariant: a call that
//! answers an error, or `Stale`, has changed nothing.
//!
//! # Features
//! `sprs` (on by default) converts [`IndexedSlices`] from and to sparse matrices and vectors;
//! `serde` makes steps, outcomes and slices of `f32` and `f64` serializable; `test-util` is a
//! reference model with generators, to property-test your own code.
//!
//! Numbers such as R-3 or P-7 are the project's requirements.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod accumulator;
mod applied;
mod dense;
mod element;
mod error;
mod gate;
mod gradient;
mod join;
mod options;
mod pool;
mod shape;
mod shared;
mod simd;
mod slices;
mod sparse;
mod steps;
mod sync;
#[cfg(feature = "test-util")]
pub mod test_util;

#[cfg(all(test, loom))]
mod interleavings;

pub use accumulator::{Accumulator, Addition, Drained, Sums};
pub use applied::{Applied, Freshness};
pub use dense::{DenseAccumulator, DenseSum, DenseSums, SumReader};
pub use element::Element;
pub use error::{ApplyError, PutBackError, SlicesError, StepOverflow, TakeError};
pub use gate::{Closed, Gate};
pub use gradient::Gradient;
pub use join::Join;
pub use options::{
    DenseOptions, HalfSum, Reduction, SparseIndex, SparseMean, SparseMerge, SparseOptions,
    Summation,
};
pub use pool::{BufferPool, Lent};
pub use shape::PartialShape;
pub use shared::{ConditionalAccumulator, Shared, SparseConditionalAccumulator, Taken};
pub use slices::IndexedSlices;
pub use sparse::{SparseAccumulator, SparseGradient, SparseSum, SparseSums};
pub use steps::{GlobalStep, LocalStep};

/// The README's example, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
