//! Where the row of each index is: a table when the rows are known and not too many, otherwise a
//! map.
//!
//! It knows numbers only. Invariant: an index has one place until it is forgotten.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The most rows for which a table is kept, at four bytes each.
const TABLE_ROWS: usize = 1 << 24;

#[derive(Debug)]
pub(super) enum Slots {
    /// By index: its place plus one, or zero. Empty until it is first needed.
    Table {
        places: Vec<u32>,
        rows: usize,
    },
    Map(HashMap<i64, usize, BuildHasherDefault<Spread>>),
}

impl Slots {
    /// For indices below `rows`, when that is known.
    pub(super) fn of(rows: Option<usize>) -> Self {
        match rows {
            Some(rows) if rows <= TABLE_ROWS => Self::Table { places: Vec::new(), rows },
            _ => Self::Map(HashMap::default()),
        }
    }

    /// The place of an index; it becomes `new` when it has none yet.
    pub(super) fn place(&mut self, index: i64, new: usize) -> usize {
        match self {
            Self::Table { places, rows } => {
                if places.is_empty() {
                    places.resize(*rows, 0);
                }
                // In range, and there are no more places than rows, so that both fit.
                let place = &mut places[index as usize];
                if *place == 0 {
                    *place = new as u32 + 1;
                }
                *place as usize - 1
            }
            Self::Map(map) => *map.entry(index).or_insert(new),
        }
    }

    /// Forgets these, which are all that have a place; the memory stays.
    pub(super) fn forget(&mut self, indices: &[i64]) {
        match self {
            Self::Table { places, .. } => {
                indices.iter().for_each(|index| places[*index as usize] = 0);
            }
            Self::Map(map) => map.clear(),
        }
    }
}

/// A hasher of one number: indices are checked row numbers, not foreign text.
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
