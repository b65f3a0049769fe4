//! Rows by index, with the number of gradients that each row came from.
//!
//! No checks and no division here. Invariant: `rows` has `width` numbers an index; under the
//! canonical merge every index is there once, in the order in which it first came.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::slices::rows::{Row, Rows, add_row, is_canonical};
use crate::{Element, HalfSum, IndexedSlices, SparseMerge, SparseOptions};

#[derive(Debug)]
pub(super) struct Union<E: Element> {
    pub(super) indices: Vec<i64>,
    /// How many gradients had the row.
    pub(super) counts: Vec<u64>,
    pub(super) rows: Vec<E::Sum>,
    width: usize,
    /// Where each index is; built when a second gradient comes, only for the canonical merge.
    slots: HashMap<i64, usize, BuildHasherDefault<Spread>>,
}

impl<E: Element> Union<E> {
    pub(super) fn empty() -> Self {
        let (indices, counts, rows) = (Vec::new(), Vec::new(), Vec::new());
        Self { indices, counts, rows, width: 0, slots: HashMap::default() }
    }

    /// Adds one gradient, as the merge in the options does.
    pub(super) fn add(&mut self, gradient: Cow<'_, IndexedSlices<E>>, options: SparseOptions) {
        self.width = gradient.row_shape().iter().product();
        match options.merge {
            SparseMerge::Canonical
                if self.indices.is_empty() && is_canonical(&gradient.indices) =>
            {
                *self = Self::copied(gradient);
            }
            SparseMerge::Canonical => {
                Rows::of(&gradient).for_each(options.half_sum, |index, row| match row {
                    Row::One(row) => self.add_one(index, row, 1, options.half_sum),
                    Row::Sum(row) => self.add_one(index, row, 1, options.half_sum),
                });
            }
            SparseMerge::Reference => self.merge(Self::copied(gradient), options.half_sum),
        }
    }

    /// Adds another union, which came later.
    pub(super) fn append(&mut self, later: Self, options: SparseOptions) {
        if self.indices.is_empty() {
            *self = later;
            return;
        }
        if options.merge == SparseMerge::Reference {
            self.merge(later, options.half_sum);
            return;
        }
        for (at, (index, count)) in later.indices.iter().zip(&later.counts).enumerate() {
            self.add_one(*index, later.row(at), *count, options.half_sum);
        }
    }

    /// Makes the indices ascend.
    pub(super) fn sort(&mut self) {
        if is_canonical(&self.indices) {
            return;
        }
        let mut order: Vec<usize> = (0..self.indices.len()).collect();
        order.sort_unstable_by_key(|at| self.indices[*at]);
        let mut rows = Vec::with_capacity(self.rows.len());
        for at in &order {
            rows.extend_from_slice(self.row(*at));
        }
        self.rows = rows;
        self.counts = order.iter().map(|at| self.counts[*at]).collect();
        self.indices = order.iter().map(|at| self.indices[*at]).collect();
    }

    /// Adds a row behind all others, known to be the first of its index.
    pub(super) fn push(&mut self, index: i64, row: Row<'_, E>) {
        self.indices.push(index);
        self.counts.push(1);
        match row {
            Row::One(row) => self.rows.extend(row.iter().map(|value| value.widen())),
            Row::Sum(row) => self.rows.extend_from_slice(row),
        }
    }

    /// Adds to the last row.
    pub(super) fn add_last(&mut self, row: Row<'_, E>, width: usize, half_sum: HalfSum) {
        let start = self.rows.len() - width;
        match row {
            Row::One(row) => add_row::<E, E>(&mut self.rows[start..], row, half_sum),
            Row::Sum(row) => add_row::<E, E::Sum>(&mut self.rows[start..], row, half_sum),
        }
        if let Some(count) = self.counts.last_mut() {
            *count += 1;
        }
    }

    /// The gradient as it is, row by row; an owned one's buffer is kept when the types allow.
    fn copied(gradient: Cow<'_, IndexedSlices<E>>) -> Self {
        let width = gradient.row_shape().iter().product();
        let IndexedSlices { indices, values, .. } = gradient.into_owned();
        let values = E::widen_array(values);
        let len = values.len();
        let rows = match values.is_standard_layout() {
            true => match values.into_raw_vec_and_offset() {
                (rows, None | Some(0)) if rows.len() == len => rows,
                (rows, offset) => rows[offset.unwrap_or(0)..][..len].to_vec(),
            },
            false => values.iter().copied().collect(),
        };
        Self { counts: vec![1; indices.len()], indices, rows, width, slots: HashMap::default() }
    }

    fn row(&self, at: usize) -> &[E::Sum] {
        &self.rows[at * self.width..(at + 1) * self.width]
    }

    fn add_one<T>(&mut self, index: i64, row: &[T], count: u64, half_sum: HalfSum)
    where
        T: Element<Sum = E::Sum>,
    {
        if self.slots.len() < self.indices.len() {
            self.slots = self.indices.iter().enumerate().map(|(at, index)| (*index, at)).collect();
        }
        let new = self.indices.len();
        let at = *self.slots.entry(index).or_insert(new);
        if at == new {
            self.indices.push(index);
            self.counts.push(count);
            self.rows.extend(row.iter().map(|value| value.widen()));
        } else {
            let range = at * self.width..(at + 1) * self.width;
            add_row::<E, T>(&mut self.rows[range], row, half_sum);
            self.counts[at] += count;
        }
    }

    /// The reference's merge: the smaller head goes first, equal heads are added and both go on.
    ///
    /// Right only for ascending indices without repetitions; it does not look.
    fn merge(&mut self, later: Self, half_sum: HalfSum) {
        let mut merged = Self { width: later.width, ..Self::empty() };
        let (mut i, mut j) = (0, 0);
        while i < self.indices.len() || j < later.indices.len() {
            let (ours, theirs) = (self.indices.get(i), later.indices.get(j));
            let take_ours = theirs.is_none_or(|theirs| ours.is_some_and(|ours| ours <= theirs));
            let both = take_ours && ours == theirs;
            let (from, at) = if take_ours { (&*self, i) } else { (&later, j) };
            merged.indices.push(from.indices[at]);
            merged.counts.push(from.counts[at] + if both { later.counts[j] } else { 0 });
            merged.rows.extend_from_slice(from.row(at));
            if both {
                let start = merged.rows.len() - merged.width;
                add_row::<E, E::Sum>(&mut merged.rows[start..], later.row(j), half_sum);
            }
            i += usize::from(take_ours);
            j += usize::from(both || !take_ours);
        }
        *self = merged;
    }
}

/// A hasher of one number: indices are row numbers that were checked, not anybody's text.
#[derive(Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_i64(&mut self, index: i64) {
        // The multiplier is 2^64 over the golden ratio; the fold brings the good high bits down.
        let mixed = (index as u64 as u128) * 0x9E37_79B9_7F4A_7C15;
        self.0 = (mixed >> 64) as u64 ^ mixed as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte) ^ self.0.rotate_left(8) as i64);
        }
    }
}
