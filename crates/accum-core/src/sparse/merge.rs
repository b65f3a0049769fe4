//! Held gradients merged and divided in one pass: each row is read once, each sum written once.
//!
//! No checks here. Invariant: for each index, each gradient's own repeated rows are added first and
//! then the gradients one after the other; into how many parts the pass is cut changes no bit.

use std::mem;

use super::division::Division;
use super::entries::{Entry, Packing, distinct, sorted_wide, whole};
use super::union::Union;
use crate::join::Ways;
use crate::lanes::widest;
use crate::slices::rows::{Row, Rows, add_row};
use crate::{BufferPool, Element, HalfSum, IndexedSlices};

/// Elements to read below which a part is not worth a wake-up of a thread.
const SMALLEST_PART: usize = 1 << 18;

pub(super) struct Merge<'a, E: Element> {
    pub(super) rows: Vec<Rows<'a, E>>,
    pub(super) width: usize,
    pub(super) half_sum: HalfSum,
    /// `None` leaves the sums as they are.
    pub(super) division: Option<Division>,
}

/// A range of the union that is made.
struct Part<'a, S> {
    indices: &'a mut [i64],
    counts: &'a mut [u64],
    rows: &'a mut [S],
}

impl<'a, E: Element> Merge<'a, E> {
    pub(super) fn of(
        held: impl Iterator<Item = &'a IndexedSlices<E>>,
        row_shape: &[usize],
        half_sum: HalfSum,
        division: Option<Division>,
    ) -> Self {
        let rows = held.map(Rows::of).collect();
        Self { rows, width: row_shape.iter().product(), half_sum, division }
    }

    /// Everything, by ascending index; the memory for it comes from the pool if there is one.
    pub(super) fn run(&self, ways: Ways, pool: Option<&BufferPool<E::Sum>>) -> Union<E> {
        let indices: Vec<&[i64]> = self.rows.iter().map(Rows::indices).collect();
        let longest = indices.iter().map(|indices| indices.len()).max().unwrap_or(0);
        let largest = indices.iter().flat_map(|indices| *indices).max();
        match Packing::of(indices.len(), longest, largest.copied().unwrap_or(0)) {
            Some(packing) => self.over(&packing.sorted(&indices), packing, ways, pool),
            None => self.over(&sorted_wide(&indices), Packing::none(), ways, pool),
        }
    }

    fn over(
        &self,
        entries: &[impl Entry],
        packing: Packing,
        ways: Ways,
        pool: Option<&BufferPool<E::Sum>>,
    ) -> Union<E> {
        let len = distinct(entries);
        let room = len * self.width;
        let mut rows = match pool {
            Some(pool) => pool.room(room),
            None => vec![E::Sum::default(); room],
        };
        let (mut indices, mut counts) = (vec![0; len], vec![0; len]);
        let mut whole = Part { indices: &mut indices, counts: &mut counts, rows: &mut rows };
        self.make(entries, packing, &mut whole, ways);
        Union::of(indices, counts, rows, self.width)
    }

    /// Makes a part, or its halves side by side.
    fn make(&self, entries: &[impl Entry], packing: Packing, to: &mut Part<'_, E::Sum>, by: Ways) {
        let small = entries.len() * self.width < 2 * SMALLEST_PART;
        let (by_first, by_second) = by.halves();
        let first = whole(entries, entries.len() * by_first.ways / by.ways.max(1));
        if small || by.ways < 2 || first.is_empty() {
            widest(|| self.fill(entries, packing, to));
            return;
        }
        let (first, second) = entries.split_at(first.end);
        let (mut to_first, mut to_second) = to.split(distinct(first), self.width);
        (by.join)(&mut || self.make(first, packing, &mut to_first, by_first), &mut || {
            self.make(second, packing, &mut to_second, by_second)
        });
    }

    #[inline(always)]
    fn fill<T: Entry>(&self, entries: &[T], packing: Packing, to: &mut Part<'_, E::Sum>) {
        let mut own = Vec::new();
        let same = |a: &T, b: &T| a.index() == b.index();
        for (nth, group) in entries.chunk_by(same).enumerate() {
            let sum = &mut to.rows[nth * self.width..(nth + 1) * self.width];
            let had = self.add_up(group, packing, sum, &mut own);
            if let Some(division) = &self.division {
                division.divide::<E>(sum, had);
            }
            to.indices[nth] = group[0].index();
            to.counts[nth] = had;
        }
    }

    /// The sum of the rows of one index, and how many gradients had it.
    #[inline(always)]
    fn add_up<T: Entry>(
        &self,
        group: &[T],
        packing: Packing,
        sum: &mut [E::Sum],
        own: &mut Vec<E::Sum>,
    ) -> u64 {
        let mut had = 0;
        for rows in group.chunk_by(|a, b| a.nth(packing) == b.nth(packing)) {
            let gradient = &self.rows[rows[0].nth(packing)];
            let at = rows.iter().map(|row| row.at(packing));
            match (gradient.sum_of(at, self.half_sum, own), had) {
                (Row::One(row), 0) => copy::<E, E>(sum, row),
                (Row::Sum(row), 0) => copy::<E, E::Sum>(sum, row),
                (Row::One(row), _) => add_row::<E, E>(sum, row, self.half_sum),
                (Row::Sum(row), _) => add_row::<E, E::Sum>(sum, row, self.half_sum),
            }
            had += 1;
        }
        had
    }
}

impl<S> Part<'_, S> {
    /// The first so many indices, and the others; nothing stays.
    fn split(&mut self, len: usize, width: usize) -> (Self, Self) {
        let (indices, more_indices) = mem::take(&mut self.indices).split_at_mut(len);
        let (counts, more_counts) = mem::take(&mut self.counts).split_at_mut(len);
        let (rows, more_rows) = mem::take(&mut self.rows).split_at_mut(len * width);
        let second = Self { indices: more_indices, counts: more_counts, rows: more_rows };
        (Self { indices, counts, rows }, second)
    }
}

#[inline(always)]
fn copy<E: Element, T: Element<Sum = E::Sum>>(to: &mut [E::Sum], row: &[T]) {
    to.iter_mut().zip(row).for_each(|(to, value)| *to = value.widen());
}
