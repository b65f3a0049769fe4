//! Sparse gradients: some rows of the variable, named by their indices.
//!
//! Indices come in any order and may repeat. Before an update they are put into canonical form:
//! checked against the number of rows, ascending, each once, rows of the same index summed in the
//! order in which they came.

use std::borrow::Cow;

use ndarray::{ArrayViewD, Axis};

use super::{DenseGradient, GradientElement};
use crate::{ApplyError, Real};

/// Rows of a gradient with the indices that they belong to.
///
/// For a variable of shape *d₀ × d₁ × … × dₖ* and *n* indices, `rows` is *n × d₁ × … × dₖ*. Indices
/// may repeat and be in any order: rows of the same index are summed before the update. The rows
/// may be of a half-precision type when the variable is `f32`.
//
#[derive(Debug, Clone)]
pub struct SparseGradient<'a, E> {
    /// Which row of the variable each row belongs to, from 0.
    pub indices: &'a [i64],
    /// One row an index.
    pub rows: ArrayViewD<'a, E>,
}

/// A sparse gradient in canonical form, its rows one after the other.
#[derive(Debug)]
pub(crate) struct CanonicalRows<'a, T: Clone> {
    /// In range, ascending, each once.
    indices: Vec<usize>,
    /// `indices.len() * width` elements.
    rows: Cow<'a, [T]>,
    width: usize,
}

impl<'a, T: Real> CanonicalRows<'a, T> {
    /// Checks the gradient against the variable's shape, and merges its rows if needed.
    pub(crate) fn new<E: GradientElement<T>>(
        shape: &[usize],
        gradient: &SparseGradient<'a, E>,
    ) -> Result<Self, ApplyError> {
        let indices = checked_indices(shape, gradient.indices, gradient.rows.shape())?;
        let width = shape[1..].iter().product();
        if indices.is_sorted_by(|a, b| a < b) {
            let lent = gradient.rows.to_slice().and_then(E::lend).map(Cow::Borrowed);
            let rows = lent.unwrap_or_else(|| gradient.rows.iter().map(|e| e.widen()).collect());
            return Ok(Self { indices, rows, width });
        }
        let (indices, rows) = merge(&indices, width, &gradient.rows);
        Ok(Self { indices, rows: Cow::Owned(rows), width })
    }

    /// Each row's index with the row, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[T])> {
        let width = self.width;
        let row = move |n: usize| &self.rows[n * width..(n + 1) * width];
        self.indices.iter().enumerate().map(move |(n, &index)| (index, row(n)))
    }
}

/// The indices as row numbers, once everything about the gradient's form was found right.
fn checked_indices(
    variable: &[usize],
    indices: &[i64],
    rows: &[usize],
) -> Result<Vec<usize>, ApplyError> {
    let Some((&n_rows, row_shape)) = variable.split_first() else {
        return Err(ApplyError::NoRows);
    };
    let fits =
        rows.split_first().is_some_and(|(&n, shape)| n == indices.len() && shape == row_shape);
    if !fits {
        let expected = [&[indices.len()], row_shape].concat();
        return Err(ApplyError::RowsShape { expected, actual: rows.to_vec() });
    }
    let in_range = |(position, &index): (usize, &i64)| match usize::try_from(index) {
        Ok(row) if row < n_rows => Ok(row),
        _ => Err(ApplyError::IndexOutOfRange { position, index, rows: n_rows }),
    };
    indices.iter().enumerate().map(in_range).collect()
}

/// Sums the rows of the same index, in the order in which they came, into ascending order.
fn merge<T: Real, E: GradientElement<T>>(
    indices: &[usize],
    width: usize,
    rows: &ArrayViewD<'_, E>,
) -> (Vec<usize>, Vec<T>) {
    let mut order: Vec<usize> = (0..indices.len()).collect();
    // A stable sort, so that the rows of one index stay in the order of their appearance.
    order.sort_by_key(|&position| indices[position]);
    let mut merged: Vec<usize> = Vec::with_capacity(indices.len());
    let mut sums: Vec<T> = Vec::with_capacity(indices.len() * width);
    for position in order {
        let row = rows.index_axis(Axis(0), position);
        if merged.last() == Some(&indices[position]) {
            let start = sums.len() - width;
            for (sum, element) in sums[start..].iter_mut().zip(row) {
                *sum += element.widen();
            }
        } else {
            merged.push(indices[position]);
            sums.extend(row.iter().map(|element| element.widen()));
        }
    }
    (merged, sums)
}

/// A sparse gradient seen as a dense one that is zero in all other rows, for an optimizer that
/// reaches all rows.
#[derive(Debug)]
pub(crate) struct Scattered<'a, T: Clone> {
    pub(crate) shape: Vec<usize>,
    pub(crate) rows: CanonicalRows<'a, T>,
}

impl<T: Real> DenseGradient<T> for Scattered<'_, T> {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn read(&self, start: usize, tile: &mut [T]) {
        tile.fill(T::zero());
        let CanonicalRows { indices, rows, width } = &self.rows;
        let end = start + tile.len();
        let first = indices.partition_point(|index| (index + 1) * width <= start);
        for (n, index) in indices.iter().enumerate().skip(first) {
            let (row_start, row_end) = (index * width, (index + 1) * width);
            if row_start >= end {
                break;
            }
            let (from, to) = (row_start.max(start), row_end.min(end));
            let row = &rows[n * width..(n + 1) * width];
            tile[from - start..to - start].copy_from_slice(&row[from - row_start..to - row_start]);
        }
    }
}
