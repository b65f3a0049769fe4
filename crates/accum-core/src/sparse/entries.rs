//! The rows of all held gradients as one list: by index, and within an index in their order.
//!
//! It knows numbers only. Invariant: the order of the gradients, and that of a gradient's own rows,
//! survives the sort, which is stable and looks at the index alone.

use std::mem;
use std::ops::Range;

/// A row of one of the gradients; the bits are those of its number within a [`Packing`].
pub(super) trait Entry: Copy + Send + Sync {
    fn index(self) -> i64;
    /// The number of the gradient.
    fn nth(self, packing: Packing) -> usize;
    /// The number of the row in it.
    fn at(self, packing: Packing) -> usize;
}

/// How many bits of a packed entry say which row of its gradient it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing(u32);

/// Index in the high half; gradient and row in the low one.
impl Entry for u64 {
    #[inline(always)]
    fn index(self) -> i64 {
        (self >> 32) as i64
    }

    #[inline(always)]
    fn nth(self, packing: Packing) -> usize {
        (self as u32 >> packing.0) as usize
    }

    #[inline(always)]
    fn at(self, packing: Packing) -> usize {
        (self as u32 & ((1 << packing.0) - 1)) as usize
    }
}

/// An entry that does not fit into one word.
impl Entry for (i64, u32, u32) {
    #[inline(always)]
    fn index(self) -> i64 {
        self.0
    }

    #[inline(always)]
    fn nth(self, _: Packing) -> usize {
        self.1 as usize
    }

    #[inline(always)]
    fn at(self, _: Packing) -> usize {
        self.2 as usize
    }
}

impl Packing {
    /// For so many gradients of at most so many rows, with indices that are not negative; `None` if
    /// an index or they need more bits.
    pub(super) fn of(gradients: usize, rows: usize, largest: i64) -> Option<Self> {
        let bits = |below: usize| usize::BITS - below.saturating_sub(1).leading_zeros();
        let packing = Self(bits(rows));
        let fits = u32::try_from(largest).is_ok() && bits(gradients) + packing.0 < u32::BITS;
        fits.then_some(packing)
    }

    /// For entries that are not packed.
    pub(super) fn none() -> Self {
        Self(0)
    }

    /// Sorts the list of gradients whose indices go up to `largest` into the first of two lists of
    /// equal length; the second holds leftovers.
    pub(super) fn sort(self, gradients: &[&[i64]], largest: i64, lists: &mut [Vec<u64>; 2]) {
        let [entries, spare] = lists;
        let digits = Digits::of(largest, entries.len());
        let mut places = digits.places(gradients);
        // The first pass also makes the entries.
        for (nth, indices) in (0_u64..).zip(gradients) {
            for (index, at) in indices.iter().zip(0..) {
                let place = &mut places[0][digits.nth(0, *index as u64)];
                entries[*place as usize] = (*index as u64) << 32 | nth << self.0 | at;
                *place += 1;
            }
        }
        for (pass, places) in places.iter_mut().enumerate().skip(1) {
            for entry in &*entries {
                let place = &mut places[digits.nth(pass, entry >> 32)];
                spare[*place as usize] = *entry;
                *place += 1;
            }
            mem::swap(entries, spare);
        }
    }
}

/// How indices are cut into digits, the lowest first, for sorting by one after the other.
#[derive(Clone, Copy, Debug)]
struct Digits {
    count: u32,
    bits: u32,
}

/// Bits of the widest digit: each of its values is a place that is written to, and the second cache
/// has room for so many lines.
const WIDEST: u32 = 11;

impl Digits {
    /// For indices up to `largest`, in a list of so many: counting its digits should not take
    /// longer than sorting it.
    fn of(largest: i64, len: usize) -> Self {
        let all = (u64::BITS - largest.unsigned_abs().leading_zeros()).max(1);
        let widest = (usize::BITS - len.leading_zeros()).clamp(4, WIDEST);
        let count = all.div_ceil(widest);
        Self { count, bits: all.div_ceil(count) }
    }

    #[inline(always)]
    fn nth(self, nth: usize, index: u64) -> usize {
        (index >> (nth as u32 * self.bits)) as usize & ((1 << self.bits) - 1)
    }

    /// For each digit, where the first entry with each of its values goes.
    fn places(self, gradients: &[&[i64]]) -> Vec<Vec<u32>> {
        let mut places = vec![vec![0; 1 << self.bits]; self.count as usize];
        for (nth, counts) in places.iter_mut().enumerate() {
            for index in gradients.iter().flat_map(|indices| *indices) {
                counts[self.nth(nth, *index as u64)] += 1;
            }
        }
        for counts in &mut places {
            let mut before = 0;
            for count in counts {
                before += mem::replace(count, before);
            }
        }
        places
    }
}

/// The same list, of indices that are too large or of too many rows to be packed.
pub(super) fn sorted_wide(gradients: &[&[i64]]) -> Vec<(i64, u32, u32)> {
    let mut entries = Vec::with_capacity(gradients.iter().map(|rows| rows.len()).sum());
    for (nth, indices) in (0..).zip(gradients) {
        entries.extend(indices.iter().zip(0..).map(|(index, at)| (*index, nth, at)));
    }
    radsort::sort_by_key(&mut entries, |(index, _, _)| *index);
    entries
}

/// How many indices there are.
pub(super) fn distinct(entries: &[impl Entry]) -> usize {
    let next = entries.iter().skip(1);
    let changes = entries.iter().zip(next).filter(|(a, b)| a.index() != b.index()).count();
    changes + usize::from(!entries.is_empty())
}

/// The first so many of the entries, rounded down to whole indices.
pub(super) fn whole(entries: &[impl Entry], about: usize) -> Range<usize> {
    let end = entries.get(about).map_or(entries.len(), |at| {
        let index = at.index();
        entries.partition_point(|entry| entry.index() < index)
    });
    0..end
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorts indices made by a simple rule, in lists of these lengths, and compares with a sort
    /// known to be stable.
    #[track_caller]
    fn check(lengths: &[usize], largest: i64) {
        let index = |at: usize| (at as i64).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64);
        let lists: Vec<Vec<i64>> = (lengths.iter().enumerate())
            .map(|(nth, len)| {
                (0..*len).map(|at| index(at * 7 + nth).rem_euclid(largest + 1)).collect()
            })
            .collect();
        let gradients: Vec<&[i64]> = lists.iter().map(Vec::as_slice).collect();
        let longest = lengths.iter().max().copied().unwrap_or(0);
        let packing = Packing::of(lists.len(), longest, largest).expect("it fits");
        let len = lengths.iter().sum();
        // What is in the lists does not matter.
        let mut sorted = [vec![7; len], vec![9; len]];
        packing.sort(&gradients, largest, &mut sorted);
        let rows = sorted[0]
            .iter()
            .map(|entry| (entry.index(), entry.nth(packing) as u32, entry.at(packing) as u32));
        let mut expected = sorted_wide(&gradients);
        expected.sort_by_key(|(index, _, _)| *index);
        assert_eq!(rows.collect::<Vec<_>>(), expected, "{lengths:?} up to {largest}");
    }

    #[test]
    fn packed_entries_are_sorted_by_index_and_keep_their_order() {
        for largest in [0, 1, 9, 255, 2_047, 2_048, 999_999, i64::from(u32::MAX)] {
            for lengths in [&[0_usize][..], &[1], &[3, 0, 5], &[40, 41], &[3_000, 1, 2_000]] {
                check(lengths, largest);
            }
        }
    }
}
