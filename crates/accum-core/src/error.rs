//! What can be wrong with a call: one small enum an operation, saying what would have been right.
//!
//! A late gradient is not here; see [`Applied`](crate::Applied). Invariant: a call that returns one
//! of these has changed nothing.

use thiserror::Error;

use crate::{GlobalStep, PartialShape};

/// A push was refused; the accumulator is as it was.
//
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A dense gradient does not fit the declared shape, or those already held.
    #[error("gradient of shape {got} where {expected} is needed")]
    Shape {
        /// The shape that would have fitted.
        expected: PartialShape,
        /// The gradient's.
        got: PartialShape,
    },
    /// The parts of a sparse gradient do not fit each other, or an index is out of range.
    #[error(transparent)]
    Slices(#[from] SlicesError),
    /// The dense shape that a sparse gradient came with does not fit the declared one.
    #[error(
        "sparse gradient of dense shape {got:?} where one that begins with {expected} is needed"
    )]
    DenseShape {
        /// The accumulator's declared shape; further dimensions may follow it.
        expected: PartialShape,
        /// The gradient's own.
        got: Vec<i64>,
    },
    /// A sparse gradient's rows do not fit the declared shape, or those already held.
    #[error("sparse gradient with rows of shape {got} where {expected} is needed")]
    RowShape {
        /// The shape of a row that would have fitted.
        expected: PartialShape,
        /// The shape of the gradient's rows.
        got: PartialShape,
    },
}

/// Indexed slices whose parts do not fit each other.
//
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SlicesError {
    /// Indices are one vector, whatever the values look like.
    #[error("indices have {got} dimensions; give them as one vector")]
    IndicesRank {
        /// The number of dimensions that came.
        got: usize,
    },
    /// Values need a first dimension to count rows by.
    #[error("values are a scalar; give one row an index")]
    ValuesScalar,
    /// A conversion needs values of another number of dimensions.
    #[error("values have {got} dimensions; this conversion is for {expected}")]
    ValuesRank {
        /// The number of dimensions that would have fitted.
        expected: usize,
        /// The number of dimensions that the values have.
        got: usize,
    },
    /// There is not one row an index.
    #[error("{rows} rows of values for {indices} indices; give one row an index")]
    RowsMismatch {
        /// The number of indices.
        indices: usize,
        /// The number of rows.
        rows: usize,
    },
    /// An index is negative, or beyond the last row.
    #[error("index {index} at position {position} is not one of {}", in_rows(.rows))]
    IndexOutOfRange {
        /// Its place among the indices.
        position: usize,
        /// The index itself.
        index: i64,
        /// The number of rows, when known.
        rows: Option<usize>,
    },
    /// The dense shape is not that of the values with its first dimension made longer.
    #[error("dense shape {dense_shape:?} does not fit values of shape {values:?}")]
    DenseShape {
        /// The dense shape that came; -1 stands for an unknown dimension.
        dense_shape: Vec<i64>,
        /// The shape of the values.
        values: Vec<usize>,
    },
    /// The large array has more elements than memory can hold.
    #[error("{rows} rows of shape {row_shape:?} are more than memory can hold; ask for fewer rows")]
    TooLarge {
        /// The requested rows.
        rows: usize,
        /// The shape of one row.
        row_shape: Vec<usize>,
    },
}

fn in_rows(rows: &Option<usize>) -> String {
    rows.map_or_else(|| "0, 1, ..".to_owned(), |rows| format!("the {rows} rows, from 0"))
}

/// A take gave nothing; the accumulator is as it was.
//
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TakeError {
    /// At least one gradient must be requested.
    #[error("num_required is {got}; ask for at least 1")]
    NumRequired {
        /// The requested number.
        got: i64,
    },
    /// The accumulator was closed while the take waited, or before it would have had to.
    #[error("the accumulator is closed and holds too few gradients for this take")]
    Closed,
    /// The step cannot be counted further.
    #[error(transparent)]
    StepOverflow(#[from] StepOverflow),
}

/// There is no step after the last `i64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("step {step} is the last there is; set a lower one before closing it")]
pub struct StepOverflow {
    /// The step that could not be closed.
    pub step: GlobalStep,
}

/// A sum could not be put back; the error returns it, and the accumulator is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "a sum of shape {got} cannot go back where {expected} is held, or was taken under other options"
)]
#[non_exhaustive]
pub struct PutBackError<T> {
    /// The sum.
    pub sum: Box<T>,
    /// What would have fitted.
    pub expected: PartialShape,
    /// The shape of the sum.
    pub got: PartialShape,
}
