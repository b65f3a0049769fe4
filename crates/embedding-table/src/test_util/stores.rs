//! Stores that share a table, driven as one (P-17).

use super::Gradients;
use crate::{Block, Rows, Saving, Table, TableStore};

/// Slots of the tests' rows: one, which starts with this.
pub const SLOTS: [f64; 1] = [0.25];

/// Stores with the keys that each owns.
#[derive(Debug)]
pub struct Stores(pub Vec<TableStore<f64>>);

/// An update that depends on values, slot and gradient, in bits that reveal any other order.
pub fn update(row: &mut [f64], gradient: &[f64]) {
    let (values, slots) = row.split_at_mut(gradient.len());
    for ((x, a), g) in values.iter_mut().zip(slots).zip(gradient) {
        *a = 0.9 * *a + g * g;
        *x -= 0.1 * g / a.sqrt();
    }
}

impl Stores {
    /// So many, which are empty.
    ///
    /// # Panics
    /// When the table is invalid.
    #[must_use]
    pub fn new(table: &Table, stores: usize) -> Self {
        let store = |_| TableStore::new(table.clone(), &SLOTS).expect("it makes sense");
        Self((0..stores).map(store).collect())
    }

    fn of(&self, key: i64) -> usize {
        self.0[0].table().owner(key, self.0.len())
    }

    /// Makes a step in each.
    ///
    /// # Panics
    /// When the gradients do not fit.
    pub fn step(&mut self, step: i64, gradients: &Gradients) {
        for n in 0..self.0.len() {
            let own = gradients.iter().filter(|(key, _)| self.of(**key) == n);
            let keys: Vec<i64> = own.clone().map(|(key, _)| *key).collect();
            let counts: Vec<u64> = own.clone().map(|(_, it)| it.0).collect();
            let numbers: Vec<f64> = own.flat_map(|(_, it)| it.1.clone()).collect();
            let rows = Rows { keys: &keys, counts: &counts, gradients: &numbers };
            self.0[n].apply(step, &rows, update).expect("it fits");
            self.0[n].finish_step(step);
        }
    }

    /// What a lookup of a key gives.
    #[must_use]
    pub fn lookup(&self, key: i64) -> Vec<f64> {
        self.0[self.of(key)].lookup(&[key])
    }

    /// All rows, and all candidates, in the order of their places, copied a few at a time.
    ///
    /// # Panics
    /// Never.
    pub fn save(&mut self) -> (Block<f64>, Block<f64>) {
        let savings: Vec<_> = self.0.iter_mut().map(TableStore::begin_save).collect();
        self.finish_save(savings)
    }

    /// The same of saves that began before.
    ///
    /// # Panics
    /// When these are saves of other stores.
    pub fn finish_save(&mut self, savings: Vec<Saving>) -> (Block<f64>, Block<f64>) {
        let (mut rows, mut candidates) = (Block::default(), Block::default());
        for (store, mut saving) in self.0.iter_mut().zip(savings) {
            while store.copy_rows(&mut saving, 3, &mut rows).expect("its own") {}
            let own = saving.candidates::<f64>();
            candidates.keys.extend(own.keys);
            candidates.counts.extend(own.counts);
            candidates.steps.extend(own.steps);
            store.end_save(saving);
        }
        (rows, candidates)
    }

    /// Stores that take over what was saved.
    ///
    /// # Panics
    /// When it does not fit.
    #[must_use]
    pub fn restored(table: &Table, stores: usize, saved: &(Block<f64>, Block<f64>)) -> Self {
        let mut restored = Self::new(table, stores);
        for block in [&saved.0, &saved.1] {
            let stride = block.rows.len().checked_div(block.len()).unwrap_or(0);
            for n in 0..block.len() {
                let own = Block {
                    keys: vec![block.keys[n]],
                    counts: vec![block.counts[n]],
                    steps: vec![block.steps[n]],
                    rows: block.rows[n * stride..][..stride].to_vec(),
                };
                let owner = restored.of(block.keys[n]);
                restored.0[owner].put(&own).expect("it fits");
            }
        }
        restored
    }
}
