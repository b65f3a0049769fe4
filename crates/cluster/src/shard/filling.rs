//! One section of a contribution, filled from bytes as they come.
//!
//! Invariant: nothing is allocated on the strength of a size that a sender claims.

use accum_core::{BufferPool, IndexedSlices, SlicesError};
use ndarray::{ArrayD, IxDyn};
use sync_replicas::store::GradientKind;
use sync_replicas::{Gradient, Scalar};

use super::Section;
use super::error::StageError;
use crate::number_format::NumberFormat;
use crate::placement::{Part, check_indices};

/// The bytes of a row's number.
const INDEX: usize = size_of::<i64>();

/// One section, as far as it has arrived.
#[derive(Debug)]
pub(super) struct Filling<T> {
    pub(super) part: usize,
    pub(super) kind: GradientKind,
    /// The rows that were announced.
    rows: usize,
    /// How many elements there will be.
    elements: usize,
    indices: Vec<i64>,
    values: Vec<T>,
}

impl<T: Scalar> Filling<T> {
    /// # Errors
    /// A section that does not fit its part.
    pub(super) fn new(
        section: &Section,
        part: &Part,
        wire: NumberFormat,
        pool: &BufferPool<T>,
    ) -> Result<Self, StageError> {
        let (rows, elements) = match section.kind {
            GradientKind::Missing => (0, 0),
            GradientKind::Dense if part.keys.is_some() => {
                return Err(StageError::Dense { name: part.name.clone() });
            }
            GradientKind::Dense => (0, part.elements()),
            GradientKind::Sparse if part.shape.is_empty() => {
                let name = part.name.clone();
                return Err(StageError::Slices { name, source: SlicesError::ValuesScalar });
            }
            GradientKind::Sparse => {
                let row = INDEX.saturating_add(part.width().saturating_mul(size_of::<T>()));
                let most = isize::MAX as usize / row.max(wire.element::<T>());
                match usize::try_from(section.rows) {
                    Ok(rows) if rows <= most => (rows, rows * part.width()),
                    _ => {
                        let name = part.name.clone();
                        return Err(StageError::Rows { name, most, got: section.rows });
                    }
                }
            }
        };
        // A dense part is as large as what the shard holds anyway. Sparse ones may have any number
        // of rows: room for as many as the part has, and for more as they come.
        let indices = Vec::with_capacity(rows.min(part.rows.len()));
        let values = match section.kind {
            GradientKind::Dense => {
                let (mut free, _) = pool.lend(&part.shape).into_array().into_raw_vec_and_offset();
                free.clear();
                free
            }
            _ => Vec::with_capacity(elements.min(part.elements())),
        };
        Ok(Self { part: section.part, kind: section.kind, rows, elements, indices, values })
    }

    /// The bytes that a section takes once it is whole.
    pub(super) fn size(section: &Section, part: &Part) -> usize {
        let element = size_of::<T>();
        match section.kind {
            GradientKind::Missing => 0,
            GradientKind::Dense => part.elements().saturating_mul(element),
            GradientKind::Sparse => {
                let row = INDEX.saturating_add(part.width().saturating_mul(element));
                usize::try_from(section.rows).unwrap_or(usize::MAX).saturating_mul(row)
            }
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.indices.len() == self.rows && self.values.len() == self.elements
    }

    /// Takes the next bytes.
    pub(super) fn fill(
        &mut self,
        bytes: &[u8],
        part: &Part,
        wire: NumberFormat,
    ) -> Result<(), StageError> {
        let name = || part.name.clone();
        let element = wire.element::<T>();
        let head = (self.rows - self.indices.len()) * INDEX;
        let expected = head + (self.elements - self.values.len()) * element;
        let got = bytes.len();
        if got > expected {
            return Err(StageError::TooMany { name: name(), expected, got });
        }
        let (indices, values) = bytes.split_at(head.min(got));
        if !indices.len().is_multiple_of(INDEX) {
            return Err(StageError::Torn { name: name(), element: INDEX, got });
        }
        if !values.len().is_multiple_of(element) {
            return Err(StageError::Torn { name: name(), element, got });
        }
        if !indices.is_empty() {
            let (numbers, _) = indices.as_chunks::<INDEX>();
            let first = self.indices.len();
            self.indices.extend(numbers.iter().map(|&number| i64::from_le_bytes(number)));
            check_numbers(part, &self.indices[first..])?;
        }
        wire.take(values, &mut self.values);
        Ok(())
    }

    /// The gradient of a whole section.
    pub(super) fn finish(self, parts: &[Part]) -> Gradient<T> {
        let part = &parts[self.part];
        let array = |shape: &[usize], values| {
            ArrayD::from_shape_vec(IxDyn(shape), values).expect("its number of values was checked")
        };
        match self.kind {
            GradientKind::Missing => Gradient::Missing,
            GradientKind::Dense => Gradient::Dense(array(&part.shape, self.values)),
            GradientKind::Sparse => {
                let shape = [&[self.rows], &part.shape[1..]].concat();
                let values = array(&shape, self.values);
                Gradient::Sparse(IndexedSlices { indices: self.indices, values, dense_shape: None })
            }
        }
    }

    /// The bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.indices.capacity() * INDEX + self.values.capacity() * size_of::<T>()
    }
}

/// Whether these numbers are of rows that the part has, or of keys that are its share.
fn check_numbers(part: &Part, numbers: &[i64]) -> Result<(), StageError> {
    let name = || part.name.clone();
    match &part.keys {
        None => check_indices(part.rows.len(), numbers)
            .map_err(|source| StageError::Slices { name: name(), source }),
        Some(share) => match numbers.iter().find(|key| !share.has(**key)) {
            None => Ok(()),
            Some(&key) => Err(StageError::Key { name: name(), key }),
        },
    }
}
