//! Held gradients merged and divided in one pass: each row is read once, each sum written once.
//!
//! No checks here. Invariant: for each index, each gradient's own repeated rows are added first and
//! then the gradients one after the other; into how many parts the pass is cut changes no bit.

use std::mem;

use prefetch_index::prefetch_index;

use super::division::Division;
use super::entries::{Entry, Packing, distinct, sorted_wide, whole};
use super::union::Union;
use crate::join::Ways;
use crate::simd::widest;
use crate::slices::rows::{Row, Rows, add_row};
use crate::{BufferPool, Element, HalfSum, IndexedSlices};

/// Elements to read below which a part is not worth waking a thread.
const SMALLEST_PART: usize = 1 << 18;

/// How many rows ahead a row is requested from memory.
const AHEAD: usize = 8;

/// Bytes that the memory delivers at a time, on most machines.
const LINE: usize = 64;

/// Lines of a row that are requested; the processor itself predicts the others.
const LINES: usize = 16;

/// Elements of a sum that the widest instructions keep in registers while rows are added.
const IN_REGISTERS: usize = 64;

pub(super) struct Merge<'a, E: Element> {
    pub(super) rows: Vec<Rows<'a, E>>,
    pub(super) width: usize,
    pub(super) half_sum: HalfSum,
    /// `None` leaves the sums as they are.
    pub(super) division: Option<Division>,
}

/// A range of the union under construction.
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
        let all = || indices.iter().flat_map(|indices| *indices).copied();
        let (least, largest) = (all().min().unwrap_or(0), all().max().unwrap_or(0));
        let packing = Packing::of(indices.len(), longest, largest);
        match packing.filter(|_| least >= 0) {
            Some(packing) => {
                let len = indices.iter().map(|indices| indices.len()).sum();
                let mut lists = [words(len, pool), words(len, pool)];
                packing.sort(&indices, largest, &mut lists);
                let union = self.over(&lists[0], packing, ways, pool);
                if let Some(pool) = pool {
                    lists.into_iter().for_each(|list| pool.give_words(list));
                }
                union
            }
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
        let (mut indices, mut counts) = (vec![0; len], words(len, pool));
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
            widest(Fill { merge: self, entries, packing, to });
            return;
        }
        let (first, second) = entries.split_at(first.end);
        let (mut to_first, mut to_second) = to.split(distinct(first), self.width);
        (by.join)(&mut || self.make(first, packing, &mut to_first, by_first), &mut || {
            self.make(second, packing, &mut to_second, by_second)
        });
    }

    // Short on purpose: the processor looks some hundred instructions ahead, and the next rows
    // are on their way only if they are among these.
    #[inline(always)]
    fn fill<T: Entry>(&self, entries: &[T], packing: Packing, to: &mut Part<'_, E::Sum>) {
        let (width, values) = (self.width, self.rows.iter().map(Rows::values).collect::<Vec<_>>());
        let row = |entry: &T| &values[entry.nth(packing)][entry.at(packing) * width..][..width];
        let mut own = Vec::new();
        let mut ahead = &entries[AHEAD.min(entries.len())..];
        let groups = entries.chunk_by(|a, b| a.index() == b.index());
        let slots = to.indices.iter_mut().zip(to.counts.iter_mut());
        for (nth, (group, (index, count))) in groups.zip(slots).enumerate() {
            let (soon, later) = ahead.split_at(group.len().min(ahead.len()));
            for entry in soon {
                fetch(row(entry));
            }
            ahead = later;
            let sum = &mut to.rows[nth * width..][..width];
            let mut pairs = group.iter().zip(&group[1..]);
            let repeated = pairs.any(|(a, b)| a.nth(packing) == b.nth(packing));
            *index = group[0].index();
            *count = if repeated {
                self.add_repeated(group, packing, sum, &mut own)
            } else {
                self.add_up(group, row, sum)
            };
        }
    }

    /// The mean of the rows of one index, no two of them from one gradient, and their number.
    #[inline(always)]
    fn add_up<'r, T: 'r>(
        &self,
        group: &'r [T],
        row: impl Fn(&'r T) -> &'r [E],
        sum: &mut [E::Sum],
    ) -> u64 {
        let (had, (first, others)) = (group.len() as u64, (&group[0], &group[1..]));
        let (parts, rest) = sum.as_chunks_mut::<IN_REGISTERS>();
        let from = parts.len() * IN_REGISTERS;
        for (nth, to) in parts.iter_mut().enumerate() {
            let mut part = [E::Sum::default(); IN_REGISTERS];
            copy::<E, E>(&mut part, &row(first).as_chunks::<IN_REGISTERS>().0[nth]);
            for other in others {
                let other = &row(other).as_chunks::<IN_REGISTERS>().0[nth];
                add_row::<E, E>(&mut part, other, self.half_sum);
            }
            self.divide(&mut part, had);
            *to = part;
        }
        if !rest.is_empty() {
            copy::<E, E>(rest, &row(first)[from..]);
            for other in others {
                add_row::<E, E>(rest, &row(other)[from..], self.half_sum);
            }
            self.divide(rest, had);
        }
        had
    }

    #[inline(always)]
    fn divide(&self, sum: &mut [E::Sum], had: u64) {
        if let Some(division) = &self.division {
            division.divide::<E>(sum, had);
        }
    }

    /// The same where one gradient has several: they are added first. How many gradients had it.
    ///
    /// Rare, so kept out of the loop that should be short.
    #[inline(never)]
    fn add_repeated<T: Entry>(
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
        self.divide(sum, had);
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

/// Room for so many words, with arbitrary contents; new if there is no pool.
fn words<S: Element>(len: usize, pool: Option<&BufferPool<S>>) -> Vec<u64> {
    pool.map_or_else(|| vec![0; len], |pool| pool.words(len))
}

/// Asks the memory for a row; rows lie where the processor cannot guess.
#[inline(always)]
fn fetch<E>(row: &[E]) {
    let line = LINE / size_of::<E>();
    let row = &row[..row.len().min(LINES * line)];
    // Four lines without a branch between them: the loop around this one should be short.
    let blocks = row.chunks_exact(4 * line);
    let rest = blocks.remainder();
    for block in blocks {
        (0..4).for_each(|nth| prefetch_index(block, nth * line));
    }
    let mut at = 0;
    while at < rest.len() {
        prefetch_index(rest, at);
        at += line;
    }
}

#[inline(always)]
fn copy<E: Element, T: Element<Sum = E::Sum>>(to: &mut [E::Sum], row: &[T]) {
    to.iter_mut().zip(row).for_each(|(to, value)| *to = value.widen());
}

/// [`Merge::fill`] as [`widest`] compiles it: a closure of this length would not be inlined, and
/// would then be compiled for the plainest machine.
struct Fill<'f, 'p, 'a, E: Element, T> {
    merge: &'f Merge<'a, E>,
    entries: &'f [T],
    packing: Packing,
    to: &'f mut Part<'p, E::Sum>,
}

impl<E: Element, T: Entry> pulp::WithSimd for Fill<'_, '_, '_, E, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.merge.fill(self.entries, self.packing, self.to);
    }
}
