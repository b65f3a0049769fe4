//! Slices read row by row: in ascending order, each index once.
//!
//! Checks nothing: the builder of a [`Rows`] has done so. Invariant: rows of one index are added
//! in the order they came in, before anything else is added to them.

use std::borrow::Cow;

use super::IndexedSlices;
use crate::{Element, HalfSum};

/// The rows of some slices as plain memory.
pub(crate) struct Rows<'a, E: Element> {
    indices: &'a [i64],
    values: Cow<'a, [E]>,
    width: usize,
}

/// The sum of all rows of one index.
pub(crate) enum Row<'a, E: Element> {
    /// There is only this one.
    One(&'a [E]),
    /// There were more.
    Sum(&'a [E::Sum]),
}

impl<'a, E: Element> Rows<'a, E> {
    /// The values are copied only if they are not in standard layout.
    pub(crate) fn of(slices: &'a IndexedSlices<E>) -> Self {
        let values = match slices.values.as_slice() {
            Some(values) => values.into(),
            None => slices.values.iter().copied().collect(),
        };
        Self { indices: &slices.indices, values, width: slices.row_shape().iter().product() }
    }

    pub(crate) fn indices(&self) -> &[i64] {
        self.indices
    }

    /// Row after row.
    pub(crate) fn values(&self) -> &[E] {
        &self.values
    }

    #[inline(always)]
    pub(crate) fn row(&self, at: usize) -> &[E] {
        &self.values[at * self.width..(at + 1) * self.width]
    }

    /// Every index once, ascending, with the sum of its rows.
    pub(crate) fn for_each(&self, half_sum: HalfSum, mut each: impl FnMut(i64, Row<'_, E>)) {
        if is_canonical(self.indices) {
            for (at, index) in self.indices.iter().enumerate() {
                each(*index, Row::One(self.row(at)));
            }
            return;
        }
        let mut order: Vec<usize> = (0..self.indices.len()).collect();
        order.sort_by_key(|at| self.indices[*at]);
        let mut scratch = Vec::new();
        for group in order.chunk_by(|a, b| self.indices[*a] == self.indices[*b]) {
            let row = self.sum_of(group.iter().copied(), half_sum, &mut scratch);
            each(self.indices[group[0]], row);
        }
    }

    // Inlined, as all that a loop in the widest instructions calls.
    /// The sum of these rows, the first of them copied and the others added.
    #[inline(always)]
    pub(crate) fn sum_of<'b>(
        &'b self,
        rows: impl ExactSizeIterator<Item = usize>,
        half_sum: HalfSum,
        scratch: &'b mut Vec<E::Sum>,
    ) -> Row<'b, E> {
        let many = rows.len() > 1;
        scratch.clear();
        for (nth, at) in rows.enumerate() {
            match (many, nth) {
                (false, _) => return Row::One(self.row(at)),
                (true, 0) => scratch.extend(self.row(at).iter().map(|value| value.widen())),
                (true, _) => add_row::<E, E>(scratch, self.row(at), half_sum),
            }
        }
        Row::Sum(scratch)
    }
}

impl<E: Element> Row<'_, E> {
    /// The row's values in the gradient's own type.
    pub(crate) fn narrow(&self) -> impl Iterator<Item = E> + '_ {
        let (one, sum): (&[E], &[E::Sum]) = match self {
            Self::One(row) => (row, &[]),
            Self::Sum(row) => (&[], row),
        };
        one.iter().copied().chain(sum.iter().map(|value| E::narrow(*value)))
    }
}

/// Whether the indices ascend and none is there twice.
pub(crate) fn is_canonical(indices: &[i64]) -> bool {
    indices.is_sorted_by(|a, b| a < b)
}

/// `sum += row`, element by element, rounded as gradients of `E` are.
#[inline(always)]
pub(crate) fn add_row<E, T>(sum: &mut [E::Sum], row: &[T], half_sum: HalfSum)
where
    E: Element,
    T: Element<Sum = E::Sum>,
{
    match half_sum {
        HalfSum::Single => {
            for (sum, add) in sum.iter_mut().zip(row) {
                *sum = *sum + add.widen();
            }
        }
        HalfSum::Reference => {
            for (sum, add) in sum.iter_mut().zip(row) {
                *sum = E::round(*sum + add.widen());
            }
        }
    }
}
