//! Rows by index, with the number of gradients that each row came from.
//!
//! No checks and no division here. Invariant: `rows` has `width` numbers an index; under the
//! canonical merge every index is there once, in the order in which it first came.

use std::mem;

use super::slots::Slots;
use crate::slices::rows::{Row, Rows, add_row, is_canonical};
use crate::{
    BufferPool, Element, HalfSum, IndexedSlices, SparseGradient, SparseMerge, SparseOptions,
};

#[derive(Debug)]
pub(super) struct Union<E: Element> {
    pub(super) indices: Vec<i64>,
    /// How many gradients had the row.
    pub(super) counts: Vec<u64>,
    pub(super) rows: Vec<E::Sum>,
    pub(super) width: usize,
    /// Where each index is; only for the canonical merge.
    slots: Slots,
    /// How often the gradient under way has each row, for as many rows as `slots` knows.
    times: Vec<u32>,
    /// The place of each row of the gradient under way, reused.
    places: Vec<usize>,
}

impl<E: Element> Union<E> {
    /// For indices below `rows`, when that is known.
    pub(super) fn empty(rows: Option<usize>) -> Self {
        Self { slots: Slots::of(rows), ..Self::with_room(0, 0) }
    }

    /// For rows that need no more additions.
    pub(super) fn of(indices: Vec<i64>, counts: Vec<u64>, rows: Vec<E::Sum>, width: usize) -> Self {
        Self { indices, counts, rows, ..Self::with_room(0, width) }
    }

    /// With room for so many rows of this width.
    fn with_room(len: usize, width: usize) -> Self {
        Self {
            indices: Vec::with_capacity(len),
            counts: Vec::with_capacity(len),
            rows: Vec::with_capacity(len * width),
            width,
            slots: Slots::of(None),
            times: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Takes everything out; what is left has room for as much, and keeps its map's memory.
    pub(super) fn drain(&mut self, pool: Option<&BufferPool<E::Sum>>) -> Self {
        self.slots.forget(&self.indices[..self.times.len()]);
        self.times.clear();
        let len = self.indices.len();
        let mut all = match pool {
            None => Self::with_room(len, self.width),
            Some(pool) => {
                let mut rows = pool.room(len * self.width);
                rows.clear();
                Self { rows, width: self.width, ..Self::with_room(len, 0) }
            }
        };
        self.exchange(&mut all);
        all
    }

    /// Adds one gradient, as the merge in the options does.
    pub(super) fn add(&mut self, gradient: SparseGradient<'_, E>, options: SparseOptions) {
        let slices = gradient.slices();
        self.width = slices.row_shape().iter().product();
        match options.merge {
            SparseMerge::Reference => self.merge(Self::copied(gradient), options.half_sum),
            SparseMerge::Canonical => {
                let owned = matches!(gradient, SparseGradient::Owned(_));
                if owned && self.indices.is_empty() && is_canonical(&slices.indices) {
                    self.exchange(&mut Self::copied(gradient));
                } else {
                    self.add_rows(slices, options.half_sum);
                }
            }
        }
    }

    /// Puts an earlier union before this one.
    pub(super) fn prepend(&mut self, mut earlier: Self, options: SparseOptions) {
        let mut later = self.drain(None);
        self.width = earlier.width;
        if earlier.indices.is_empty() {
            self.exchange(&mut later);
            return;
        }
        self.exchange(&mut earlier);
        if options.merge == SparseMerge::Reference {
            self.merge(later, options.half_sum);
            return;
        }
        self.place_held();
        for (at, (index, count)) in later.indices.iter().zip(&later.counts).enumerate() {
            let place = self.place(*index);
            self.add_at(place, later.row(at), *count, options.half_sum);
        }
    }

    /// Swaps what is held.
    fn exchange(&mut self, other: &mut Self) {
        mem::swap(&mut self.indices, &mut other.indices);
        mem::swap(&mut self.counts, &mut other.counts);
        mem::swap(&mut self.rows, &mut other.rows);
    }

    /// Adds every row in its place. Rows that the gradient repeats are summed first.
    fn add_rows(&mut self, gradient: &IndexedSlices<E>, half_sum: HalfSum) {
        self.place_held();
        let mut places = mem::take(&mut self.places);
        places.clear();
        for index in &gradient.indices {
            let place = self.place(*index);
            self.times[place] += 1;
            places.push(place);
        }
        let rows = Rows::of(gradient);
        let mut repeated = Vec::new();
        for (at, &place) in places.iter().enumerate() {
            if self.times[place] == 1 {
                self.add_at(place, rows.row(at), 1, half_sum);
                continue;
            }
            repeated.push((place, at));
            if place * self.width == self.rows.len() {
                // Its place is kept until the sum is there.
                self.rows.resize(self.rows.len() + self.width, E::Sum::default());
            }
        }
        repeated.sort_by_key(|(place, _)| *place);
        let mut scratch = Vec::new();
        for group in repeated.chunk_by(|a, b| a.0 == b.0) {
            let own = group.iter().map(|(_, at)| *at);
            match rows.sum_of(own, half_sum, &mut scratch) {
                Row::One(row) => self.add_at(group[0].0, row, 1, half_sum),
                Row::Sum(row) => self.add_at(group[0].0, row, 1, half_sum),
            }
        }
        places.iter().for_each(|place| self.times[*place] = 0);
        self.places = places;
    }

    /// Assigns places to new indices.
    fn place_held(&mut self) {
        for at in self.times.len()..self.indices.len() {
            self.slots.place(self.indices[at], at);
        }
        self.times.resize(self.indices.len(), 0);
    }

    /// The place of an index; a new one has no row yet, and is the next to get one.
    fn place(&mut self, index: i64) -> usize {
        let new = self.indices.len();
        let place = self.slots.place(index, new);
        if place == new {
            self.indices.push(index);
            self.counts.push(0);
            self.times.push(0);
        }
        place
    }

    fn add_at<T>(&mut self, place: usize, row: &[T], count: u64, half_sum: HalfSum)
    where
        T: Element<Sum = E::Sum>,
    {
        let range = place * self.width..(place + 1) * self.width;
        if range.start == self.rows.len() {
            self.rows.extend(row.iter().map(|value| value.widen()));
        } else if self.counts[place] == 0 {
            let values = row.iter().map(|value| value.widen());
            self.rows[range].iter_mut().zip(values).for_each(|(to, value)| *to = value);
        } else {
            add_row::<E, T>(&mut self.rows[range], row, half_sum);
        }
        self.counts[place] += count;
    }

    /// The gradient as it is, row by row; an owned one's buffer is kept when the types allow.
    fn copied(gradient: SparseGradient<'_, E>) -> Self {
        let width = gradient.slices().row_shape().iter().product();
        let IndexedSlices { indices, values, .. } = gradient.into_slices();
        let values = E::widen_array(values);
        let len = values.len();
        let rows = match values.is_standard_layout() {
            true => match values.into_raw_vec_and_offset() {
                (rows, None | Some(0)) if rows.len() == len => rows,
                (rows, offset) => rows[offset.unwrap_or(0)..][..len].to_vec(),
            },
            false => values.iter().copied().collect(),
        };
        Self { counts: vec![1; indices.len()], indices, rows, ..Self::with_room(0, width) }
    }

    pub(super) fn row(&self, at: usize) -> &[E::Sum] {
        &self.rows[at * self.width..(at + 1) * self.width]
    }

    /// The reference's merge: the smaller head goes first, equal heads are added and both go on.
    ///
    /// Right only for ascending indices without repetitions; it does not look.
    fn merge(&mut self, later: Self, half_sum: HalfSum) {
        let mut merged = Self::with_room(0, later.width);
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
        self.exchange(&mut merged);
    }
}
