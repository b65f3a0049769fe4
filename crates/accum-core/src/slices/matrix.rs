//! Indexed slices from and to the matrices and vectors of `sprs`.
//!
//! A row of a matrix that has any entry becomes one dense row; an entry of a vector becomes a row
//! that is one number. Invariant: what is made here is canonical and knows its dense shape.

use std::ops::Deref;

use ndarray::Array;
use sprs::{CsMat, CsMatBase, CsVec, CsVecBase, SpIndex};

use super::rows::Rows;
use super::{IndexedSlices, reserve, with_rows};
use crate::{Element, HalfSum, SlicesError};

/// From a matrix of shape *m* × *d*, stored by rows or by columns: values of shape *n* × *d* for
/// the *n* rows that have entries, stored zeros included.
//
impl<E, I, Ptr, Ptrs, Inds, Data> From<&CsMatBase<E, I, Ptrs, Inds, Data, Ptr>> for IndexedSlices<E>
where
    E: Element,
    I: SpIndex,
    Ptr: SpIndex,
    Ptrs: Deref<Target = [Ptr]>,
    Inds: Deref<Target = [I]>,
    Data: Deref<Target = [E]>,
{
    fn from(matrix: &CsMatBase<E, I, Ptrs, Inds, Data, Ptr>) -> Self {
        if matrix.is_csc() {
            return Self::from(&matrix.to_csr());
        }
        let width = matrix.cols();
        let mut indices = Vec::new();
        let mut values = Vec::new();
        for (index, row) in matrix.outer_iterator().enumerate().filter(|(_, row)| row.nnz() > 0) {
            indices.push(index as i64);
            let start = values.len();
            values.resize(start + width, E::default());
            for (column, value) in row.iter() {
                values[start + column] = *value;
            }
        }
        let values = with_rows(indices.len(), &[width], values);
        let dense_shape = Some(vec![matrix.rows() as i64, width as i64]);
        Self { indices, values, dense_shape }
    }
}

/// From a vector of length *d*: values of shape *n* for its *n* entries.
//
impl<E, I, Inds, Data> From<&CsVecBase<Inds, Data, E, I>> for IndexedSlices<E>
where
    E: Element,
    I: SpIndex,
    Inds: Deref<Target = [I]>,
    Data: Deref<Target = [E]>,
{
    fn from(vector: &CsVecBase<Inds, Data, E, I>) -> Self {
        let (indices, values) = vector.iter().map(|(at, value)| (at as i64, *value)).unzip();
        let values = Array::from_vec(values).into_dyn();
        Self { indices, values, dense_shape: Some(vec![vector.dim() as i64]) }
    }
}

impl<E: Element> IndexedSlices<E> {
    /// A matrix of `rows` rows, stored by rows, from values of two dimensions.
    ///
    /// Repeated rows are summed. Zeros are not stored, so a row of nothing but zeros has no entry.
    ///
    /// # Errors
    /// As [`to_dense`](Self::to_dense), and [`SlicesError::ValuesRank`] for other than two
    /// dimensions.
    //
    pub fn to_csmat(&self, rows: usize) -> Result<CsMat<E>, SlicesError> {
        self.check_for(2, rows)?;
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        let mut ends = reserve(rows.saturating_add(1), &[])?;
        ends.push(0);
        Rows::of(self).for_each(HalfSum::Single, |index, row| {
            ends.resize(index as usize + 1, values.len());
            for (column, value) in row.narrow().enumerate().filter(|(_, v)| *v != E::default()) {
                columns.push(column);
                values.push(value);
            }
            ends.push(values.len());
        });
        ends.resize(rows + 1, values.len());
        Ok(CsMat::new((rows, self.row_shape()[0]), ends, columns, values))
    }

    /// A vector of length `len` from values of one dimension; repeated entries are summed.
    ///
    /// # Errors
    /// As [`to_dense`](Self::to_dense), and [`SlicesError::ValuesRank`] for other than one
    /// dimension.
    //
    pub fn to_csvec(&self, len: usize) -> Result<CsVec<E>, SlicesError> {
        self.check_for(1, len)?;
        let (mut indices, mut values) = (Vec::new(), Vec::new());
        Rows::of(self).for_each(HalfSum::Single, |index, row| {
            indices.push(index as usize);
            values.extend(row.narrow());
        });
        Ok(CsVec::new(len, indices, values))
    }

    fn check_for(&self, rank: usize, rows: usize) -> Result<(), SlicesError> {
        self.check()?;
        if self.values.ndim() != rank {
            return Err(SlicesError::ValuesRank { expected: rank, got: self.values.ndim() });
        }
        self.check_range(Some(rows))
    }
}

#[cfg(test)]
mod tests;
