//! Keys that are counted and have no row yet.
//!
//! They are given up like rows: unused ones after as many steps, and those beyond as many.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::Spread;
use super::ranking::Ranking;
use super::slab::Meta;
use crate::Table;

#[derive(Debug)]
pub(super) struct Candidates {
    table: Table,
    counted: HashMap<i64, Counted, BuildHasherDefault<Spread>>,
    ranking: Option<Ranking>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    count: u32,
    step: i64,
}

impl Candidates {
    pub(super) fn of(table: &Table) -> Self {
        let ranking = Ranking::of(table).filter(|_| table.admitted_with() > 1);
        Self { table: table.clone(), counted: HashMap::default(), ranking }
    }

    pub(super) fn len(&self) -> usize {
        self.counted.len()
    }

    pub(super) fn count(&self, key: i64) -> u32 {
        self.counted.get(&key).map_or(0, |it| it.count)
    }

    /// Counts a key's contributions of this step; all of the key's, once it is admitted.
    pub(super) fn admit(&mut self, key: i64, count: u32, step: i64) -> Option<u32> {
        let least = self.table.admitted_with();
        if least <= 1 {
            return Some(count);
        }
        let count = self.count(key).saturating_add(count);
        if count >= least {
            if self.counted.remove(&key).is_some()
                && let Some(ranking) = &mut self.ranking
            {
                ranking.leave(self.table.partition(key));
            }
            return Some(count);
        }
        self.put(key, count, step);
        None
    }

    /// This many contributions were counted, the last in this step.
    pub(super) fn put(&mut self, key: i64, count: u32, step: i64) {
        let counted = Counted { count, step };
        if self.counted.insert(key, counted).is_none()
            && let Some(ranking) = &mut self.ranking
        {
            let score = score(&self.table, key, counted);
            ranking.insert(self.table.partition(key), score, key);
        }
    }

    pub(super) fn finish_step(&mut self, step: i64) {
        let Some(ranking) = &mut self.ranking else { return };
        let of = |key: i64| Some(score(&self.table, key, *self.counted.get(&key)?));
        for key in ranking.victims(step, of) {
            self.counted.remove(&key);
        }
    }

    /// All of them, with their counts and the steps of their last ones.
    pub(super) fn all(&self) -> Vec<(i64, u32, i64)> {
        self.counted.iter().map(|(&key, it)| (key, it.count, it.step)).collect()
    }
}

fn score(table: &Table, key: i64, Counted { count, step }: Counted) -> i64 {
    table.eviction().score(Meta { key, step, count })
}
