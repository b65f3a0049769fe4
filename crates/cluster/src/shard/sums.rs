//! One part's gradients of the open step, dense or sparse, on accum-core's own pieces.
//!
//! Checks nothing that staging has checked. Invariant: without an order of keys the gradients are
//! added as they come, so that one sum is all that is held.

use accum_core::{
    ApplyError, BufferPool, DenseOptions, DenseSums, GlobalStep, Reduction, SparseOptions,
    SparseSums, Summation, Sums,
};
use ndarray::ArrayViewMutD;
use optim::{OptimizerState, SparseGradient};
use sync_replicas::{Averaged, Gradient, Kind, Scalar, not_finite_in};

use super::ShardSettings;

/// What is held for one part.
#[derive(Debug)]
pub(super) enum PartSums<T: Scalar> {
    Dense(DenseSums<T>),
    Sparse(SparseSums<T>),
    Missing,
}

impl<T: Scalar> PartSums<T> {
    pub(super) fn new(kind: Kind, shape: &[usize], settings: &ShardSettings) -> Self {
        let summation = if settings.ordered { Summation::Ordered } else { Summation::Eager };
        match kind {
            Kind::Dense => {
                let options = DenseOptions { summation, ..DenseOptions::default() };
                Self::Dense(DenseSums::new(shape, Reduction::Mean, options))
            }
            Kind::Sparse => {
                let (mean, merge) = (settings.sparse_mean, settings.sparse_merge);
                let options = SparseOptions { summation, mean, merge, ..SparseOptions::default() };
                Self::Sparse(SparseSums::new(shape, Reduction::Mean, options))
            }
            Kind::Missing => Self::Missing,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Dense(_) => Kind::Dense,
            Self::Sparse(_) => Kind::Sparse,
            Self::Missing => Kind::Missing,
        }
    }

    /// Adds a gradient of the same kind; a dense one's buffer goes to the pool afterwards.
    pub(super) fn add(
        &mut self,
        gradient: Gradient<T>,
        key: u64,
        pool: &BufferPool<T>,
    ) -> Result<(), ApplyError> {
        match (self, gradient) {
            (Self::Dense(sums), Gradient::Dense(array)) => sums.add(pool.adopt(array).into(), key),
            (Self::Sparse(sums), Gradient::Sparse(slices)) => sums.add(slices.into(), key),
            _ => Ok(()),
        }
    }

    /// Takes the sum, and updates the part with its mean in one pass. A pool gets the memory of a
    /// dense sum, which is its first gradient's. If the optimizer is not finite any more, answers
    /// the keys of the gradients that are not, where they are still apart.
    pub(super) fn apply(
        &mut self,
        step: GlobalStep,
        optimizer: &mut OptimizerState<T>,
        (name, variable): (&str, ArrayViewMutD<'_, T>),
        pool: Option<&BufferPool<T>>,
    ) -> Result<Option<Vec<u64>>, optim::ApplyError> {
        let finite = optimizer.is_finite();
        match self {
            Self::Dense(sums) => {
                let Some(mut sum) = sums.drain(step) else { return Ok(None) };
                optimizer.apply_dense(name, variable, &Averaged(sum.addends()))?;
                if finite && !optimizer.is_finite() {
                    return Ok(not_finite_in(&sum));
                }
                if let Some(pool) = pool {
                    pool.give(sum.into_sum().0);
                }
                Ok(None)
            }
            Self::Sparse(sums) => {
                let Some(sum) = sums.drain(step) else { return Ok(None) };
                let slices = sum.into_value();
                let rows = slices.values.view();
                let gradient = SparseGradient { indices: &slices.indices, rows };
                optimizer.apply_sparse(name, variable, gradient).map(|()| None)
            }
            Self::Missing => Ok(None),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Dense(sums) => sums.count() == 0,
            Self::Sparse(sums) => sums.count() == 0,
            Self::Missing => true,
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Dense(sums) => drop(sums.drain(GlobalStep::default())),
            Self::Sparse(sums) => drop(sums.drain(GlobalStep::default())),
            Self::Missing => {}
        }
    }
}
