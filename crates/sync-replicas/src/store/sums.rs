//! One variable's gradients of the open step, dense or sparse, on accum-core's own parts.
//!
//! Decides nothing about freshness, and repeats no check.

use accum_core::{
    ApplyError, BufferPool, DenseOptions, DenseSum, DenseSums, GlobalStep, PartialShape, Reduction,
    SparseIndex, SparseMean, SparseMerge, SparseOptions, SparseSum, SparseSums, SumReader,
    Summation, Sums,
};
use ndarray::ArrayD;
use optim::DenseGradient;

use super::spec::GradientKind;
use crate::cores::sums_on_all_cores;
use crate::{Gradient, Scalar};

/// How gradients are summed, merged and divided.
#[derive(Clone, Copy, Debug)]
pub struct SumOptions {
    /// When gradients are added.
    pub summation: Summation,
    /// What divides a sparse gradient's rows.
    //
    pub mean: SparseMean,
    /// How equal rows of sparse gradients are merged.
    pub merge: SparseMerge,
}

/// What is held for one variable.
#[derive(Debug)]
pub enum VariableSums<T: Scalar> {
    /// Dense gradients, with the place to return the memory of their sum to, unless it is a
    /// gradient's.
    Dense(DenseSums<T>, Option<BufferPool<T>>),
    /// Indexed slices, with the source of their sums' memory.
    Sparse(SparseSums<T>, BufferPool<T>),
}

/// What was taken for one variable: not divided yet, so that the update can do it in its own pass.
#[derive(Debug)]
pub enum VariableSum<T: Scalar> {
    /// Of dense gradients, with the place to return its memory to once it is applied.
    Dense(DenseSum<T>, Option<BufferPool<T>>),
    /// The same of indexed slices.
    Sparse(SparseSum<T>, BufferPool<T>),
}

/// A taken sum as the optimizer reads it: added up and divided inside the update's own pass.
#[derive(Debug)]
pub(super) struct MeanGradient<'a, T: Scalar>(pub(super) SumReader<'a, T>);

impl<T: Scalar> DenseGradient<T> for MeanGradient<'_, T> {
    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn read(&self, start: usize, tile: &mut [T]) {
        self.0.read(start, tile);
    }

    fn lend(&self) -> Option<&[T]> {
        self.0.lend()
    }
}

impl<T: Scalar> VariableSums<T> {
    /// Empty sums; nothing for a variable without a gradient. The memory of a dense sum that is
    /// made as gradients come, which is that of the first, goes to the pool.
    //
    #[must_use]
    pub fn new(
        kind: GradientKind,
        shape: &[usize],
        options: SumOptions,
        pool: Option<&BufferPool<T>>,
    ) -> Option<Self> {
        let SumOptions { summation, mean, merge } = options;
        match kind {
            GradientKind::Dense => {
                let options = DenseOptions { summation, ..DenseOptions::default() };
                let pool = pool.filter(|_| summation == Summation::Eager).cloned();
                Some(Self::Dense(DenseSums::new(shape, Reduction::Mean, options), pool))
            }
            GradientKind::Sparse => {
                let options = SparseOptions { summation, mean, merge, ..SparseOptions::default() };
                // A step's sum is applied before the next is made.
                let pool = BufferPool::new(1);
                let sums = SparseSums::new(shape, Reduction::Mean, options);
                Some(Self::Sparse(sums_on_all_cores(sums.with_pool(pool.clone())), pool))
            }
            GradientKind::Missing => None,
        }
    }

    /// Those of a table whose rows have this width: indices are keys.
    // P-17
    #[must_use]
    pub fn of_table(width: usize, options: SumOptions) -> Self {
        let SumOptions { summation, mean, .. } = options;
        let index = SparseIndex::Key;
        let options = SparseOptions { summation, mean, index, ..SparseOptions::default() };
        let (pool, shape) = (BufferPool::new(1), PartialShape::of([None, Some(width)]));
        let sums = SparseSums::new(shape, Reduction::Mean, options);
        Self::Sparse(sums_on_all_cores(sums.with_pool(pool.clone())), pool)
    }

    /// Adds a gradient of the same kind; a dense one's memory goes to the pool afterwards.
    ///
    /// # Errors
    /// [`ApplyError`] when it does not fit, which `resolve` has ruled out.
    pub fn add(
        &mut self,
        gradient: Gradient<T>,
        key: u64,
        pool: Option<&BufferPool<T>>,
    ) -> Result<(), ApplyError> {
        match (self, gradient) {
            (Self::Dense(sums, _), Gradient::Dense(array)) => sums.add(lent(array, pool), key),
            (Self::Sparse(sums, _), Gradient::Sparse(slices)) => sums.add(slices.into(), key),
            _ => Ok(()),
        }
    }

    /// Takes what is held, if anything.
    pub fn drain(&mut self, step: GlobalStep) -> Option<VariableSum<T>> {
        match self {
            Self::Dense(sums, pool) => {
                sums.drain(step).map(|sum| VariableSum::Dense(sum, pool.clone()))
            }
            Self::Sparse(sums, pool) => {
                sums.drain(step).map(|sum| VariableSum::Sparse(sum, pool.clone()))
            }
        }
    }

    /// Forgets what is held.
    pub fn clear(&mut self) {
        drop(self.drain(GlobalStep::default()));
    }
}

/// A gradient on its way to the sum, whose memory returns to the pool.
pub(crate) fn lent<T: Scalar>(
    array: ArrayD<T>,
    pool: Option<&BufferPool<T>>,
) -> accum_core::Gradient<'static, T> {
    match pool {
        // Its next user counts on the usual layout.
        Some(pool) if array.is_standard_layout() => pool.adopt(array).into(),
        _ => array.into(),
    }
}
