//! The reference model of a table: plain maps, and everything looked at anew at each step.

use std::collections::BTreeMap;

use crate::{Block, EvictBy, Eviction, Number, RowAdmission, Table, place};

/// What a table is to hold, kept as simply as can be.
#[derive(Clone, Debug)]
pub struct Model<T> {
    table: Table,
    slots: Vec<T>,
    /// The rows by key.
    pub rows: BTreeMap<i64, Row<T>>,
    /// Keys that are counted and not admitted: counts, and the steps of the last ones.
    pub candidates: BTreeMap<i64, (u32, i64)>,
}

/// A row of a [`Model`].
#[derive(Clone, Debug, PartialEq)]
pub struct Row<T> {
    /// Its values, then its slots.
    pub numbers: Vec<T>,
    /// Its contributions.
    pub count: u32,
    /// The step of its last update.
    pub step: i64,
}

/// One step's gradients: by key, how many contributions had it, and its gradient's numbers.
pub type Gradients = BTreeMap<i64, (u64, Vec<f64>)>;

impl<T: Number> Model<T> {
    /// An empty one.
    #[must_use]
    pub fn new(table: Table, slots: &[T]) -> Self {
        let (rows, candidates) = (BTreeMap::new(), BTreeMap::new());
        Self { table, slots: slots.to_vec(), rows, candidates }
    }

    /// What a lookup of a key gives.
    #[must_use]
    pub fn lookup(&self, key: i64) -> Vec<T> {
        let width = self.table.width();
        match self.rows.get(&key) {
            Some(row) => row.numbers[..width].to_vec(),
            None => self.born(key),
        }
    }

    /// Makes a step.
    pub fn step(&mut self, step: i64, rows: &Gradients, update: impl Fn(&mut [T], &[T])) {
        for (&key, (count, gradient)) in rows {
            let more = u32::try_from(*count).unwrap_or(u32::MAX);
            let least = match self.table.admission() {
                RowAdmission::Always => 1,
                RowAdmission::After(contributions) => contributions,
            };
            if !self.rows.contains_key(&key) {
                let before = self.candidates.remove(&key).map_or(0, |it| it.0);
                let count = before.saturating_add(more);
                if count < least {
                    self.candidates.insert(key, (count, step));
                    continue;
                }
                let mut numbers = self.born(key);
                for slot in &self.slots {
                    numbers.extend(std::iter::repeat_n(*slot, self.table.width()));
                }
                self.rows.insert(key, Row { numbers, count: before, step });
            }
            let gradient: Vec<T> = gradient.iter().map(|it| T::rounded(*it)).collect();
            if let Some(row) = self.rows.get_mut(&key) {
                row.count = row.count.saturating_add(more);
                row.step = step;
                update(&mut row.numbers, &gradient);
            }
        }
        let rows = self.rows.iter().map(|(key, row)| (*key, (row.count, row.step))).collect();
        for key in self.victims(rows, step) {
            self.rows.remove(&key);
        }
        for key in self.victims(self.candidates.clone(), step) {
            self.candidates.remove(&key);
        }
    }

    fn born(&self, key: i64) -> Vec<T> {
        let mut row = vec![T::zero(); self.table.width()];
        self.table.born(key, &mut row);
        row
    }

    /// The keys that go, of these with their counts and last steps.
    fn victims(&self, of: BTreeMap<i64, (u32, i64)>, step: i64) -> Vec<i64> {
        let (most, by) = match self.table.eviction() {
            Eviction::Never => return Vec::new(),
            Eviction::Unused { steps } => {
                let unused = |(_, last): &(u32, i64)| step - last >= steps as i64;
                return of.into_iter().filter(|(_, it)| unused(it)).map(|(key, _)| key).collect();
            }
            Eviction::Beyond { by, .. } => (self.table.partition_rows() as usize, by),
        };
        let mut victims = Vec::new();
        for partition in 0..self.table.partitions() {
            let own = of.iter().filter(|(key, _)| self.table.partition(**key) == partition);
            let mut own: Vec<_> = own
                .map(|(&key, &(count, last))| match by {
                    EvictBy::Count => (i64::from(count), key),
                    EvictBy::LastUse => (last, key),
                })
                .collect();
            own.sort_unstable();
            let surplus = own.len().saturating_sub(most);
            victims.extend(own.into_iter().take(surplus).map(|(_, key)| key));
        }
        victims
    }

    /// All rows as a save gives them.
    #[must_use]
    pub fn block(&self) -> Block<T> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(key, _)| place(**key));
        Block {
            keys: rows.iter().map(|(key, _)| **key).collect(),
            counts: rows.iter().map(|(_, row)| row.count).collect(),
            steps: rows.iter().map(|(_, row)| row.step).collect(),
            rows: rows.iter().flat_map(|(_, row)| row.numbers.clone()).collect(),
        }
    }
}
