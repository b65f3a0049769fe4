//! The rows of a table, or of its keys that one store owns.
//!
//! Knows no optimizer and no file. Invariant: its contents depend on its declaration and on the
//! updates alone: neither on lookups, nor on time, nor on other stores (P-17).

mod candidates;
mod ranking;
mod saving;
mod slab;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::{Eviction, Number, Table, TableError};

use candidates::Candidates;
use ranking::Ranking;
use saving::Kept;
pub use saving::{Block, Saving};
use slab::Slab;

/// How many rows ahead a row is requested from memory.
const AHEAD: usize = 8;

/// Stands for no row.
const NONE: u32 = u32::MAX;

/// The rows that updates have made, each with its slots, its count and the step of its last update.
///
/// Any number of stores may share a table, each of them with the keys that it owns
/// ([`Table::owner`]): together they hold what one alone would (P-17).
#[derive(Debug)]
pub struct TableStore<T> {
    table: Table,
    /// The initial values of each row's slots.
    slots: Vec<T>,
    places: HashMap<i64, u32, BuildHasherDefault<Spread>>,
    rows: Slab<T>,
    /// Which rows go first, if any are evicted.
    ranking: Option<Ranking>,
    candidates: Candidates,
    /// What saves under way still need.
    kept: Vec<Kept<T>>,
    /// The step of the last eviction.
    evicted: i64,
    /// Where the rows of an update are, reused.
    found: Vec<u32>,
}

/// What to tell a reader that has a row as of an earlier step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is as it was.
    None,
    /// It is as it was born: anyone with the declaration can compute it.
    Born,
    /// It has these values.
    Values,
}

/// A step's gradients of some rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    /// The keys, ascending, each once.
    pub keys: &'a [i64],
    /// How many contributions each of them had.
    pub counts: &'a [u64],
    /// The gradients, as wide as the table, one after the other.
    pub gradients: &'a [T],
}

/// Why rows were refused; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The keys are not ascending, or one is repeated.
    #[error("table `{table}`: the key at position {position} is not above the one before")]
    Order {
        /// The table.
        table: String,
        /// The first that is not.
        position: usize,
    },
    /// Parts that do not fit each other.
    #[error("table `{table}`: expected {expected} {what} for {keys} keys, got {got}")]
    Length {
        /// The table.
        table: String,
        /// The part.
        what: &'static str,
        /// How many keys there are.
        keys: usize,
        /// How many entries they need.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// More rows than one store can number.
    #[error(
        "table `{table}`: a store has at most {most} rows, and this would need more; share the \
         table among more stores, or evict rows"
    )]
    Full {
        /// The table.
        table: String,
        /// The most that it can have.
        most: u64,
    },
    /// A save of other rows.
    #[error("table `{table}`: its rows were replaced while they were saved; save it once more")]
    OtherSave {
        /// The table.
        table: String,
    },
    /// An existing row.
    #[error("table `{table}`: the row of key {key} is there twice")]
    Twice {
        /// The table.
        table: String,
        /// The key.
        key: i64,
    },
}

impl<T: Number> TableStore<T> {
    /// A store without rows, whose rows have slots that start with these numbers.
    ///
    /// # Errors
    /// [`TableError`], as [`Table::check`].
    pub fn new(table: Table, slots: &[T]) -> Result<Self, TableError> {
        table.check()?;
        let ranking = Ranking::of(&table);
        let candidates = Candidates::of(&table);
        Ok(Self {
            rows: Slab::new(table.width() * (1 + slots.len())),
            slots: slots.to_vec(),
            places: HashMap::default(),
            ranking,
            candidates,
            kept: Vec::new(),
            evicted: i64::MIN,
            found: Vec::new(),
            table,
        })
    }

    /// The declaration.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many keys are counted and not admitted yet.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.candidates.len()
    }

    /// The values of these keys' rows, one after the other, as they are now. Changes nothing.
    #[must_use]
    pub fn lookup(&self, keys: &[i64]) -> Vec<T> {
        let mut rows = vec![T::zero(); keys.len() * self.table.width()];
        self.lookup_into(keys, &mut rows);
        rows
    }

    /// The same into the caller's memory.
    ///
    /// # Panics
    /// When there is not room for exactly these rows.
    pub fn lookup_into(&self, keys: &[i64], rows: &mut [T]) {
        let width = self.table.width();
        assert_eq!(rows.len(), keys.len() * width, "rows of table `{}`", self.table.name());
        // Where they are first: each of the two passes waits for one place in memory a key, and the
        // second one knows early which.
        let found: Vec<u32> = keys.iter().map(|key| self.find(*key)).collect();
        for (n, row) in rows.chunks_exact_mut(width).enumerate() {
            if let Some(&ahead) = found.get(n + AHEAD).filter(|it| **it != NONE) {
                self.rows.prefetch(ahead, width);
            }
            match found[n] {
                NONE => self.table.born(keys[n], row),
                at => row.copy_from_slice(&self.rows.row(at)[..width]),
            }
        }
    }

    /// What has become of these keys' rows since the steps in which they were looked up; `None` for
    /// those that were not. Changed values are added to `rows`.
    ///
    /// # Panics
    /// When there is not one step a key.
    #[must_use]
    pub fn changes(&self, keys: &[i64], since: &[Option<i64>], rows: &mut Vec<T>) -> Vec<Change> {
        assert_eq!(keys.len(), since.len(), "steps for keys of table `{}`", self.table.name());
        let width = self.table.width();
        let found: Vec<u32> = keys.iter().map(|key| self.find(*key)).collect();
        // Room that is not needed is never touched.
        rows.reserve(found.iter().filter(|at| **at != NONE).count() * width);
        let change = |(n, at): (usize, &u32)| {
            if let Some(&ahead) = found.get(n + AHEAD).filter(|it| **it != NONE) {
                self.rows.prefetch(ahead, width);
            }
            match (*at, since[n]) {
                // Then it was not there before either.
                (NONE, Some(since)) if self.evicted <= since => Change::None,
                (NONE, _) => Change::Born,
                (at, Some(since)) if self.rows.meta(at).step <= since => Change::None,
                (at, _) => {
                    rows.extend_from_slice(&self.rows.row(at)[..width]);
                    Change::Values
                }
            }
        };
        found.iter().enumerate().map(change).collect()
    }

    /// A row with its slots, if there is one.
    #[must_use]
    pub fn row(&self, key: i64) -> Option<&[T]> {
        self.places.get(&key).map(|at| self.rows.row(*at))
    }

    /// The step of the last update of a key's row, if there is one.
    #[must_use]
    pub fn last_update(&self, key: i64) -> Option<i64> {
        self.places.get(&key).map(|at| self.rows.meta(*at).step)
    }

    /// How many contributions of made steps a key had, since its row or the counting began.
    #[must_use]
    pub fn count(&self, key: i64) -> u32 {
        let row = self.places.get(&key).map(|at| self.rows.meta(*at).count);
        row.unwrap_or_else(|| self.candidates.count(key))
    }

    /// Updates these keys' rows, and creates those that are newly admitted.
    ///
    /// `update` gets a row, its values and then its slots, and its gradient; `step` is the number
    /// of the update that is being made, and each is above the last.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub fn apply(
        &mut self,
        step: i64,
        rows: &Rows<'_, T>,
        mut update: impl FnMut(&mut [T], &[T]),
    ) -> Result<(), StoreError> {
        self.check(rows)?;
        let width = self.table.width();
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        found.extend(rows.keys.iter().map(|key| self.find(*key)));
        for (n, gradient) in rows.gradients.chunks_exact(width).enumerate() {
            if let Some(&ahead) = found.get(n + AHEAD).filter(|it| **it != NONE) {
                self.rows.prefetch(ahead, width * (1 + self.slots.len()));
            }
            let (key, count) = (rows.keys[n], u32::try_from(rows.counts[n]).unwrap_or(u32::MAX));
            let at = match found[n] {
                NONE => match self.candidates.admit(key, count, step) {
                    Some(count) => self.insert(key, count, step),
                    None => continue,
                },
                at => {
                    self.keep(key, at);
                    let meta = self.rows.meta_mut(at);
                    meta.count = meta.count.saturating_add(count);
                    meta.step = step;
                    at
                }
            };
            update(self.rows.row_mut(at), gradient);
        }
        self.found = found;
        Ok(())
    }

    /// Ends a step: rows and candidates that are due go now, whatever the step has updated.
    pub fn finish_step(&mut self, step: i64) {
        if let Some(mut ranking) = self.ranking.take() {
            let score = |key: i64| {
                Some(self.table.eviction().score(self.rows.meta(*self.places.get(&key)?)))
            };
            let victims = ranking.victims(step, score);
            self.ranking = Some(ranking);
            if !victims.is_empty() {
                self.evicted = step;
            }
            victims.into_iter().for_each(|key| self.evict(key));
        }
        self.candidates.finish_step(step);
    }

    fn check(&self, rows: &Rows<'_, T>) -> Result<(), StoreError> {
        let table = || self.table.name().to_owned();
        let keys = rows.keys.len();
        let elements = keys * self.table.width();
        for (what, expected, got) in [
            ("counts", keys, rows.counts.len()),
            ("numbers of gradients", elements, rows.gradients.len()),
        ] {
            if expected != got {
                return Err(StoreError::Length { table: table(), what, keys, expected, got });
            }
        }
        if let Some(position) = rows.keys.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(StoreError::Order { table: table(), position: position + 1 });
        }
        self.check_room(keys)
    }

    fn check_room(&self, more: usize) -> Result<(), StoreError> {
        let most = u64::from(NONE);
        if (self.len() + more) as u64 > most {
            return Err(StoreError::Full { table: self.table.name().to_owned(), most });
        }
        Ok(())
    }

    fn find(&self, key: i64) -> u32 {
        self.places.get(&key).copied().unwrap_or(NONE)
    }

    /// A new row, as it is born.
    fn insert(&mut self, key: i64, count: u32, step: i64) -> u32 {
        let at = self.rows.insert(slab::Meta { key, count, step });
        let (values, slots) = self.rows.row_mut(at).split_at_mut(self.table.width());
        self.table.born(key, values);
        for (slot, initial) in slots.chunks_exact_mut(self.table.width()).zip(&self.slots) {
            slot.fill(*initial);
        }
        self.places.insert(key, at);
        self.rank(at);
        at
    }

    fn rank(&mut self, at: u32) {
        if let Some(ranking) = &mut self.ranking {
            let meta = self.rows.meta(at);
            let score = self.table.eviction().score(meta);
            ranking.insert(self.table.partition(meta.key), score, meta.key);
        }
    }

    fn evict(&mut self, key: i64) {
        if let Some(at) = self.places.remove(&key) {
            self.keep(key, at);
            self.rows.remove(at);
        }
    }
}

impl Eviction {
    /// The lower, the sooner a row goes; never falls while the row exists.
    fn score(self, meta: slab::Meta) -> i64 {
        match self {
            Self::Beyond { by: crate::EvictBy::Count, .. } => i64::from(meta.count),
            _ => meta.step,
        }
    }
}

/// A hasher of one number: the multiplier spreads a key over all bits, and the fold brings the
/// good high ones down. Not [`place`](crate::place): keys of one store are near each other there.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_i64(&mut self, key: i64) {
        let mixed = u128::from(key.cast_unsigned()) * 0x9E37_79B9_7F4A_7C15;
        self.0 = (mixed >> 64) as u64 ^ mixed as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte) ^ self.0.rotate_left(8).cast_signed());
        }
    }
}
