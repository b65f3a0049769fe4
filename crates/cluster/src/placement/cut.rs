//! Cutting values and gradients of whole variables into parts, and joining parts again.
//!
//! A dense array is cut without a copy. Invariant: joining what was cut gives the same bits.

use std::borrow::Cow;

use accum_core::{IndexedSlices, SlicesError};
use ndarray::{ArrayD, ArrayViewD, Axis};

use super::{Part, PartPlace, Placement};
use crate::index::VariableIndex;

/// The rows of a whole variable, or of its dense gradient, that make up a part.
///
/// # Panics
/// When the array is not of the variable's shape.
#[must_use]
pub fn cut_dense<'a, T>(part: &Part, whole: ArrayViewD<'a, T>) -> ArrayViewD<'a, T> {
    if whole.ndim() == 0 {
        return whole;
    }
    let (head, _) = whole.split_at(Axis(0), part.rows.end);
    head.split_at(Axis(0), part.rows.start).1
}

/// The slices of a whole variable's sparse gradient that fall into a part, in their order, with
/// indices that count from the part's first row; of a table those of the part's keys.
///
/// Lent when the part is the whole variable. Unknown rows are in no part, so
/// [`resolve`](sync_replicas::store::resolve) comes first.
#[must_use]
pub fn cut_sparse<'a, T: Clone>(
    part: &Part,
    whole: &'a IndexedSlices<T>,
) -> Cow<'a, IndexedSlices<T>> {
    if part.whole {
        return Cow::Borrowed(whole);
    }
    let mut positions = Vec::new();
    let mut indices = Vec::new();
    for (position, &index) in whole.indices.iter().enumerate() {
        let own = match &part.keys {
            Some(share) => share.has(index).then_some(index),
            None => usize::try_from(index)
                .ok()
                .filter(|row| part.rows.contains(row))
                .map(|row| (row - part.rows.start) as i64),
        };
        if let Some(index) = own {
            positions.push(position);
            indices.push(index);
        }
    }
    let values = rows_at(&whole.values, &positions);
    Cow::Owned(IndexedSlices { indices, values, dense_shape: None })
}

/// These rows, one after the other: like `select`, but several times as fast where rows lie in
/// order.
fn rows_at<T: Clone>(values: &ArrayD<T>, positions: &[usize]) -> ArrayD<T> {
    let Some(all) = values.as_slice() else { return values.select(Axis(0), positions) };
    let mut shape = values.shape().to_vec();
    let width: usize = shape.iter().skip(1).product();
    let mut rows = Vec::with_capacity(positions.len() * width);
    positions.iter().for_each(|at| rows.extend_from_slice(&all[at * width..][..width]));
    shape[0] = positions.len();
    ArrayD::from_shape_vec(shape, rows).unwrap_or_else(|_| values.select(Axis(0), positions))
}

/// Whether every index is one of so many rows.
pub(crate) fn check_indices(rows: usize, indices: &[i64]) -> Result<(), SlicesError> {
    let outside = |&index: &i64| usize::try_from(index).map_or(true, |index| index >= rows);
    match indices.iter().position(outside) {
        None => Ok(()),
        Some(position) => {
            let index = indices[position];
            Err(SlicesError::IndexOutOfRange { position, index, rows: Some(rows) })
        }
    }
}

impl Placement {
    /// A whole variable from its parts; `part` lends the array of each.
    ///
    /// # Panics
    /// When an array is not of its part's shape, or there is no such variable.
    #[must_use]
    pub fn join<'a, T: Clone + 'a>(
        &self,
        variable: VariableIndex,
        part: impl Fn(PartPlace) -> ArrayViewD<'a, T>,
    ) -> ArrayD<T> {
        match self.places(variable) {
            [place] => part(*place).to_owned(),
            places => {
                let parts: Vec<_> = places.iter().copied().map(part).collect();
                ndarray::concatenate(Axis(0), &parts).expect("parts of one variable fit together")
            }
        }
    }
}
