//! One variable's gradients of the open step, dense or sparse, on accum-core's own parts.
//!
//! Decides nothing about freshness: the engine has judged what comes here.

use std::fmt;

use accum_core::{
    Addends, ApplyError, BufferPool, DenseOptions, DenseSum, DenseSums, GlobalStep, IndexedSlices,
    PartialShape, Reduction, SlicesError, SparseOptions, SparseSum, SparseSums, Summation, Sums,
};
use optim::DenseGradient;

use super::core::Rules;
use crate::cores::sums_on_all_cores;
use crate::{Gradient, Scalar};

/// The kind of a variable's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number for every element.
    Dense,
    /// Indexed slices.
    Sparse,
    /// None at all.
    Missing,
}

impl Kind {
    pub(crate) fn of<T>(gradient: &Gradient<T>) -> Self {
        match gradient {
            Gradient::Dense(_) => Self::Dense,
            Gradient::Sparse(_) => Self::Sparse,
            Gradient::Missing => Self::Missing,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dense => "a dense gradient",
            Self::Sparse => "a sparse gradient",
            Self::Missing => "no gradient",
        })
    }
}

/// What is held for one variable.
pub(crate) enum VariableSums<T: Scalar> {
    Dense(DenseSums<T>),
    /// With what the memory of its sums comes from.
    Sparse(SparseSums<T>, BufferPool<T>),
}

/// What was taken for one variable: not divided yet, so that the update can do it in its own pass.
#[derive(Debug)]
pub(crate) enum VariableSum<T: Scalar> {
    Dense(DenseSum<T>),
    /// With where its memory goes once it is applied.
    Sparse(SparseSum<T>, BufferPool<T>),
}

/// A taken sum as the optimizer reads it: added up and divided inside the update's own pass.
#[derive(Debug)]
pub struct Averaged<'a, T: Scalar>(pub Addends<'a, T>);

impl<T: Scalar> DenseGradient<T> for Averaged<'_, T> {
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
    /// Owned gradients are held as they are, so that a push costs no pass over them.
    pub(crate) fn new(kind: Kind, shape: &[usize], rules: Rules, ordered: bool) -> Option<Self> {
        let summation = if ordered { Summation::Ordered } else { Summation::Held };
        let shape = PartialShape::from(shape);
        match kind {
            Kind::Dense => {
                let options = DenseOptions { summation, ..DenseOptions::default() };
                Some(Self::Dense(DenseSums::new(shape, Reduction::Mean, options)))
            }
            Kind::Sparse => {
                let options = SparseOptions {
                    summation,
                    mean: rules.sparse_mean,
                    merge: rules.sparse_merge,
                    ..SparseOptions::default()
                };
                // A step's sum is applied before the next is made.
                let pool = BufferPool::new(1);
                let sums = SparseSums::new(shape, Reduction::Mean, options);
                Some(Self::Sparse(sums_on_all_cores(sums.with_pool(pool.clone())), pool))
            }
            Kind::Missing => None,
        }
    }

    /// Whether the gradient can be added, and later applied to a variable of this shape.
    pub(crate) fn check(&self, shape: &[usize], gradient: &Gradient<T>) -> Result<(), ApplyError> {
        match (self, gradient) {
            (Self::Dense(sums), Gradient::Dense(array)) => sums.check_shape(array.shape()),
            (Self::Sparse(sums, _), Gradient::Sparse(slices)) => {
                // the original merge lets a negative index through, and the update would then
                // fail for everybody.
                if let Some(position) = slices.indices.iter().position(|&index| index < 0) {
                    let index = slices.indices[position];
                    return Err(SlicesError::IndexOutOfRange { position, index, rows: None }.into());
                }
                sums.check(&slices.into())?;
                // The accumulator lets further dimensions follow, which no update could take.
                let (got, expected) = (slices.row_shape(), shape.get(1..));
                if expected == Some(got) {
                    return Ok(());
                }
                Err(match expected {
                    Some(expected) => {
                        ApplyError::RowShape { expected: expected.into(), got: got.into() }
                    }
                    None => {
                        let got = slices.values.shape().into();
                        ApplyError::Shape { expected: shape.into(), got }
                    }
                })
            }
            _ => Ok(()),
        }
    }

    /// Adds a dense gradient where dense ones are held.
    pub(crate) fn add_dense(
        &mut self,
        gradient: accum_core::Gradient<'static, T>,
        key: u64,
    ) -> Result<(), ApplyError> {
        match self {
            Self::Dense(sums) => sums.add(gradient, key),
            Self::Sparse(..) => Ok(()),
        }
    }

    /// Adds a sparse gradient where sparse ones are held.
    pub(crate) fn add_sparse(
        &mut self,
        gradient: IndexedSlices<T>,
        key: u64,
    ) -> Result<(), ApplyError> {
        match self {
            Self::Sparse(sums, _) => sums.add(gradient.into(), key),
            Self::Dense(_) => Ok(()),
        }
    }

    pub(crate) fn drain(&mut self, step: GlobalStep) -> Option<VariableSum<T>> {
        match self {
            Self::Dense(sums) => sums.drain(step).map(VariableSum::Dense),
            Self::Sparse(sums, pool) => {
                sums.drain(step).map(|sum| VariableSum::Sparse(sum, pool.clone()))
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        drop(self.drain(GlobalStep::default()));
    }
}
