//! Rows on their way to a checkpoint while updates go on.
//!
//! A save walks the rows as of the step at which it began, in the order of their places. An update
//! to a row that the save has not reached keeps the old row for it: memory grows with the rows that
//! change meanwhile, and there is no second copy of the table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU64, Ordering};

use super::slab::Meta;
use super::{Spread, StoreError, TableStore};
use crate::{Number, place};

/// Unique among all stores, so that none has the number of a save of the store it replaced.
static SAVES: AtomicU64 = AtomicU64::new(0);

/// A save under way: which rows there were, and how far it has come.
///
/// A store keeps rows for it until [`TableStore::end_save`].
#[derive(Debug)]
pub struct Saving {
    number: u64,
    /// Places and where the rows are, in order once sorted.
    rows: Vec<(u64, u32)>,
    sorted: bool,
    next: usize,
    /// Keys, counts, and steps, of those not admitted.
    candidates: Vec<(i64, u32, i64)>,
}

/// Some saved rows, in the order of their places; or candidates, which have no numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block<T> {
    /// The keys.
    pub keys: Vec<i64>,
    /// How many contributions each had.
    pub counts: Vec<u32>,
    /// The last step that updated each.
    pub steps: Vec<i64>,
    /// For each row its values and then its slots; nothing for candidates.
    pub rows: Vec<T>,
}

/// What a store keeps for a save: rows as they were.
#[derive(Debug)]
pub(super) struct Kept<T> {
    number: u64,
    /// The place up to which rows were copied.
    done: Option<u64>,
    /// By place: the old state, and where in `rows`.
    old: HashMap<i64, (Meta, usize), BuildHasherDefault<Spread>>,
    rows: Vec<T>,
}

impl Saving {
    /// How many rows to save.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Sorts the rows; call it where nothing waits for the store, since it takes long.
    pub fn sort(&mut self) {
        if !std::mem::replace(&mut self.sorted, true) {
            radsort::sort_by_key(&mut self.rows, |(place, _)| *place);
            self.candidates.sort_unstable_by_key(|(key, _, _)| place(*key));
        }
    }

    /// The candidates, all at once: they are small.
    #[must_use]
    pub fn candidates<T>(&self) -> Block<T> {
        let of = self.candidates.iter();
        Block {
            keys: of.clone().map(|it| it.0).collect(),
            counts: of.clone().map(|it| it.1).collect(),
            steps: of.map(|it| it.2).collect(),
            rows: Vec::new(),
        }
    }
}

impl<T> Block<T> {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl<T: Number> TableStore<T> {
    /// Begins to save the rows as they are now.
    pub fn begin_save(&mut self) -> Saving {
        let number = SAVES.fetch_add(1, Ordering::Relaxed);
        self.kept.push(Kept { number, done: None, old: HashMap::default(), rows: Vec::new() });
        let rows = self.places.iter().map(|(key, at)| (place(*key), *at)).collect();
        let candidates = self.candidates.all();
        Saving { number, rows, sorted: false, next: 0, candidates }
    }

    /// Copies the next rows of a save, at most so many, onto the end of a block; whether there are
    /// more.
    ///
    /// # Errors
    /// [`StoreError::OtherSave`]: the save is of a store that this one replaced.
    pub fn copy_rows(
        &mut self,
        saving: &mut Saving,
        most: usize,
        to: &mut Block<T>,
    ) -> Result<bool, StoreError> {
        saving.sort();
        let end = saving.rows.len().min(saving.next.saturating_add(most));
        let rows = &saving.rows[saving.next..end];
        saving.next = end;
        let Some(kept) = self.kept.iter_mut().find(|it| it.number == saving.number) else {
            return Err(StoreError::OtherSave { table: self.table.name().to_owned() });
        };
        kept.done = rows.last().map(|(place, _)| *place).or(kept.done);
        let stride = self.table.width() * (1 + self.slots.len());
        for &(own, at) in rows {
            // What has changed since, or gone, is kept.
            let (meta, row) = match kept.old.get(&own.cast_signed()) {
                Some((meta, from)) => (*meta, &kept.rows[*from..][..stride]),
                None => (self.rows.meta(at), self.rows.row(at)),
            };
            to.keys.push(meta.key);
            to.counts.push(meta.count);
            to.steps.push(meta.step);
            to.rows.extend_from_slice(row);
        }
        Ok(end < saving.rows.len())
    }

    /// A save is over, or given up: nothing more is kept for it.
    pub fn end_save(&mut self, saving: Saving) {
        self.kept.retain(|it| it.number != saving.number);
    }

    /// Takes over saved rows, or candidates, from any number of stores.
    ///
    /// # Errors
    /// [`StoreError`]; rows before the refused one are there.
    pub fn put(&mut self, block: &Block<T>) -> Result<(), StoreError> {
        let keys = block.keys.len();
        let stride = self.table.width() * (1 + self.slots.len());
        let numbers = if block.rows.is_empty() { 0 } else { keys * stride };
        for (what, expected, got) in [
            ("counts", keys, block.counts.len()),
            ("steps", keys, block.steps.len()),
            ("numbers", numbers, block.rows.len()),
        ] {
            if expected != got {
                let table = self.table.name().to_owned();
                return Err(StoreError::Length { table, what, keys, expected, got });
            }
        }
        self.check_room(keys)?;
        for (n, &key) in block.keys.iter().enumerate() {
            if self.places.contains_key(&key) {
                let table = self.table.name().to_owned();
                return Err(StoreError::Twice { table, key });
            }
            let (count, step) = (block.counts[n], block.steps[n]);
            if block.rows.is_empty() {
                if self.table.admitted_with() > 1 {
                    self.candidates.put(key, count, step);
                }
            } else {
                let at = self.rows.insert(Meta { key, count, step });
                self.rows.row_mut(at).copy_from_slice(&block.rows[n * stride..][..stride]);
                self.places.insert(key, at);
                self.rank(at);
            }
        }
        Ok(())
    }

    /// A row is about to change or to go: saves that have not reached it get it as it was.
    pub(super) fn keep(&mut self, key: i64, at: u32) {
        let (rows, own) = (&self.rows, place(key));
        for kept in self.kept.iter_mut().filter(|it| it.done.is_none_or(|done| own > done)) {
            if let Entry::Vacant(free) = kept.old.entry(own.cast_signed()) {
                free.insert((rows.meta(at), kept.rows.len()));
                kept.rows.extend_from_slice(rows.row(at));
            }
        }
    }
}
