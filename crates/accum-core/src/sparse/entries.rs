//! The rows of all held gradients as one list: by index, and within an index in their order.
//!
//! It knows numbers only. Invariant: the order of the gradients, and that of a gradient's own rows,
//! survives the sort, which is stable and looks at the index alone.

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

/// What does not fit into one word.
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
    /// For so many gradients of at most so many rows; `None` if an index or they need more bits.
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

    pub(super) fn sorted(self, gradients: &[&[i64]]) -> Vec<u64> {
        let mut entries = Vec::with_capacity(gradients.iter().map(|rows| rows.len()).sum());
        for (nth, indices) in (0_u64..).zip(gradients) {
            let packed = |(index, at): (&i64, u64)| (*index as u64) << 32 | nth << self.0 | at;
            entries.extend(indices.iter().zip(0..).map(packed));
        }
        radsort::sort_by_key(&mut entries, |entry| (entry >> 32) as u32);
        entries
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
