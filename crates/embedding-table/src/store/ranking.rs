//! Which rows go first: a queue for each partition, the lowest score in front.
//!
//! Invariant: an entry's score is at most its row's, since a row's only rises; so an update to a
//! row costs nothing here, and the front is checked again before it goes. A row that went by itself
//! leaves an entry behind, which is skipped.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashSet};

use crate::{Eviction, Table};

#[derive(Debug)]
pub(super) struct Ranking {
    /// By partition.
    queues: Vec<Queue>,
    limit: Limit,
}

#[derive(Debug, Default)]
struct Queue {
    /// Scores and keys.
    entries: BinaryHeap<Reverse<(i64, i64)>>,
    /// How many rows there are.
    rows: u64,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// Rows whose score is this far behind the step go.
    Behind(u64),
    /// Rows beyond this many in their partition go.
    Rows(u64),
}

impl Ranking {
    /// For a table's rows; none if none ever goes.
    pub(super) fn of(table: &Table) -> Option<Self> {
        let limit = match table.eviction() {
            Eviction::Never => return None,
            Eviction::Unused { steps } => Limit::Behind(steps),
            Eviction::Beyond { .. } => Limit::Rows(table.partition_rows()),
        };
        let queues = (0..table.partitions()).map(|_| Queue::default()).collect();
        Some(Self { queues, limit })
    }

    /// A row is there.
    pub(super) fn insert(&mut self, partition: u64, score: i64, key: i64) {
        let queue = &mut self.queues[partition as usize];
        queue.entries.push(Reverse((score, key)));
        queue.rows += 1;
    }

    /// A row has gone by itself.
    pub(super) fn leave(&mut self, partition: u64) {
        self.queues[partition as usize].rows -= 1;
    }

    /// The rows that go at the end of this step, partition by partition: by their present scores,
    /// then by their keys. `score` knows no row that has gone.
    pub(super) fn victims(&mut self, step: i64, score: impl Fn(i64) -> Option<i64>) -> Vec<i64> {
        // A key that left and came again has several entries, and goes once.
        let (mut victims, mut gone) = (Vec::new(), HashSet::new());
        for queue in &mut self.queues {
            queue.clean(&score);
            loop {
                let rows = queue.rows;
                let Some(mut front) = queue.entries.peek_mut() else { break };
                let Reverse((seen, key)) = *front;
                let goes = match self.limit {
                    Limit::Behind(steps) => {
                        step.saturating_sub(seen) >= i64::try_from(steps).unwrap_or(i64::MAX)
                    }
                    Limit::Rows(most) => rows > most,
                };
                if !goes {
                    break;
                }
                match score(key) {
                    Some(now) if !gone.contains(&key) => {
                        if now == seen {
                            PeekMut::pop(front);
                            queue.rows -= 1;
                            gone.insert(key);
                            victims.push(key);
                        } else {
                            *front = Reverse((now, key));
                        }
                    }
                    _ => drop(PeekMut::pop(front)),
                }
            }
        }
        victims
    }
}

impl Queue {
    /// Forgets the entries of rows that have gone, once they are most of all.
    fn clean(&mut self, score: impl Fn(i64) -> Option<i64>) {
        if self.entries.len() as u64 <= 2 * self.rows + 64 {
            return;
        }
        let mut seen = HashSet::new();
        let entries = std::mem::take(&mut self.entries).into_iter();
        let there = entries.filter_map(|Reverse((_, key))| Some(Reverse((score(key)?, key))));
        self.entries = there.filter(|Reverse((_, key))| seen.insert(*key)).collect();
    }
}
