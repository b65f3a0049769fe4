//! Indexed slices: a few rows of a large array, each with the number of its row.
//!
//! Plain data as a replica made it; accumulators and optimizers give it meaning. Invariant: none is
//! assumed. The fields are open, so every operation checks what it relies on.

use ndarray::{Array, ArrayD, Dimension};

use crate::{Element, HalfSum, SlicesError};

#[cfg(feature = "sprs")]
mod matrix;

pub(crate) mod rows;

use rows::{Rows, is_canonical};

/// A sparse gradient: `indices` of length *n*, `values` of shape *n* × *d₁* × … × *dₖ*.
///
/// Indices may be in any order, and may repeat; repeated rows mean their sum.
///
/// ```
/// use accum_core::IndexedSlices;
/// use ndarray::array;
///
/// let slices = IndexedSlices::new(vec![2, 0, 2], array![[1.0], [5.0], [3.0]], Some(vec![4, 1]))?;
/// assert_eq!(slices.to_dense(4)?, array![[5.0], [0.0], [4.0], [0.0]].into_dyn());
/// let canonical = slices.canonical()?;
/// assert_eq!(canonical.indices, [0, 2]);
/// assert_eq!(canonical.values, array![[5.0], [4.0]].into_dyn());
/// # Ok::<(), accum_core::SlicesError>(())
/// ```
// R-8
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IndexedSlices<E> {
    /// Which row of the large array each row of `values` is.
    pub indices: Vec<i64>,
    /// The rows, one an index.
    pub values: ArrayD<E>,
    /// The shape of the large array, when known; -1 stands for an unknown dimension.
    pub dense_shape: Option<Vec<i64>>,
}

impl<E> IndexedSlices<E> {
    /// Slices whose parts fit each other.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn new<D: Dimension>(
        indices: Vec<i64>,
        values: Array<E, D>,
        dense_shape: Option<Vec<i64>>,
    ) -> Result<Self, SlicesError> {
        let slices = Self { indices, values: values.into_dyn(), dense_shape };
        slices.check()?;
        Ok(slices)
    }

    /// Slices of a table, whose indices are keys: any numbers ([`SparseIndex::Key`]).
    ///
    /// # Errors
    /// [`SlicesError::ValuesScalar`], [`SlicesError::RowsMismatch`].
    ///
    /// [`SparseIndex::Key`]: crate::SparseIndex::Key
    pub fn by_key<D: Dimension>(keys: Vec<i64>, values: Array<E, D>) -> Result<Self, SlicesError> {
        let slices = Self { indices: keys, values: values.into_dyn(), dense_shape: None };
        slices.check_rows().map(|()| slices)
    }

    /// The same, from indices in an array, which must be a vector.
    ///
    /// # Errors
    /// [`SlicesError::IndicesRank`] when it is not; otherwise as [`check`](Self::check).
    // R-9
    pub fn from_arrays<I: Dimension, D: Dimension>(
        indices: Array<i64, I>,
        values: Array<E, D>,
        dense_shape: Option<Vec<i64>>,
    ) -> Result<Self, SlicesError> {
        if indices.ndim() != 1 {
            return Err(SlicesError::IndicesRank { got: indices.ndim() });
        }
        Self::new(indices.into_iter().collect(), values, dense_shape)
    }

    /// Whether the parts fit each other: one row an index, a dense shape like the values' own
    /// except for the number of rows, and every index one of those rows.
    ///
    /// # Errors
    /// The first [`SlicesError`] found.
    pub fn check(&self) -> Result<(), SlicesError> {
        self.check_rows()?;
        if let Some(dense_shape) = &self.dense_shape {
            let fits = dense_shape.len() == self.values.ndim()
                && (dense_shape.iter().zip(self.values.shape()).skip(1))
                    .all(|(dim, got)| *dim < 0 || usize::try_from(*dim) == Ok(*got));
            if !fits {
                let dense_shape = dense_shape.clone();
                let values = self.values.shape().to_vec();
                return Err(SlicesError::DenseShape { dense_shape, values });
            }
        }
        self.check_range(None)
    }

    /// The shape of one row: that of the values without the first dimension.
    pub fn row_shape(&self) -> &[usize] {
        self.values.shape().get(1..).unwrap_or_default()
    }

    /// The number of rows of the large array, when the dense shape says so.
    pub fn dense_rows(&self) -> Option<usize> {
        let rows = self.dense_shape.as_ref()?.first()?;
        usize::try_from(*rows).ok()
    }

    /// One row an index, and nothing else.
    pub(crate) fn check_rows(&self) -> Result<(), SlicesError> {
        let rows = *self.values.shape().first().ok_or(SlicesError::ValuesScalar)?;
        let indices = self.indices.len();
        if rows == indices { Ok(()) } else { Err(SlicesError::RowsMismatch { indices, rows }) }
    }

    /// No index negative, nor beyond the rows that are known here or to the caller.
    pub(crate) fn check_range(&self, rows: Option<usize>) -> Result<(), SlicesError> {
        let rows = match (rows, self.dense_rows()) {
            (Some(rows), Some(own)) => Some(rows.min(own)),
            (rows, own) => rows.or(own),
        };
        let fits = |index| usize::try_from(index).is_ok_and(|index| rows.is_none_or(|n| index < n));
        match self.indices.iter().position(|index| !fits(*index)) {
            None => Ok(()),
            Some(position) => {
                let index = self.indices[position];
                Err(SlicesError::IndexOutOfRange { position, index, rows })
            }
        }
    }
}

impl<E: Element> IndexedSlices<E> {
    /// The canonical form: ascending indices, none twice; repeated rows summed in their order.
    ///
    /// Slices that have this form already are returned as they are.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn canonical(self) -> Result<Self, SlicesError> {
        self.check()?;
        if is_canonical(&self.indices) {
            return Ok(self);
        }
        let mut indices = Vec::with_capacity(self.indices.len());
        let mut values = Vec::with_capacity(self.values.len());
        Rows::of(&self).for_each(HalfSum::Single, |index, row| {
            indices.push(index);
            values.extend(row.narrow());
        });
        let values = with_rows(indices.len(), self.row_shape(), values);
        Ok(Self { indices, values, dense_shape: self.dense_shape })
    }

    /// The large array with `rows` rows: zero where no index points, repeated rows summed.
    ///
    /// # Errors
    /// As [`check`](Self::check), [`SlicesError::IndexOutOfRange`] for an index beyond `rows`, and
    /// [`SlicesError::TooLarge`].
    pub fn to_dense(&self, rows: usize) -> Result<ArrayD<E>, SlicesError> {
        self.check()?;
        self.check_range(Some(rows))?;
        let width: usize = self.row_shape().iter().product();
        let mut dense = reserve(rows, self.row_shape())?;
        dense.resize(rows * width, E::default());
        Rows::of(self).for_each(HalfSum::Single, |index, row| {
            // In range, so it is the number of a row in memory.
            let at = index as usize * width;
            for (value, sum) in dense[at..at + width].iter_mut().zip(row.narrow()) {
                *value = sum;
            }
        });
        Ok(with_rows(rows, self.row_shape(), dense))
    }
}

/// Room for `rows` rows, if memory has it; ndarray panics on a shape that it cannot count.
pub(crate) fn reserve<T>(rows: usize, row_shape: &[usize]) -> Result<Vec<T>, SlicesError> {
    let too_large = || SlicesError::TooLarge { rows, row_shape: row_shape.to_vec() };
    // Axes of length zero do not make the others countable.
    let mut axes = [&[rows], row_shape].concat().into_iter().map(|axis| axis.max(1));
    let bytes = axes.try_fold(size_of::<T>(), |bytes, axis| bytes.checked_mul(axis));
    bytes.and_then(|bytes| isize::try_from(bytes).ok()).ok_or_else(too_large)?;
    let mut room = Vec::new();
    room.try_reserve_exact(rows * row_shape.iter().product::<usize>()).map_err(|_| too_large())?;
    Ok(room)
}

/// Row after row as an array of `rows` rows; their number and shape are those of `values`.
pub(crate) fn with_rows<T: Default>(rows: usize, row_shape: &[usize], values: Vec<T>) -> ArrayD<T> {
    let shape: Vec<usize> = [&[rows], row_shape].concat();
    ArrayD::from_shape_vec(shape, values).unwrap_or_default()
}
