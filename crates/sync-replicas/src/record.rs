//! What happened when: the latest updates, and the latest stretches of every replica's time.
//!
//! Training writes it, and any thread may read it meanwhile. Invariant: it never holds more than
//! [`Record::MOST`] of each.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub use crate::runtime::Span;
use crate::sync::{Arc, Mutex, lock};

pub use crate::report::{ReplicaOutcome, ReplicaReport};
pub use crate::runtime::SpanKind;
pub use crate::store::Totals;

/// The record of one training, to be read while it trains; clones are the same record.
///
/// In a cluster the first parameter server's is complete, and the chief has the latest part of it
/// once training has ended.
///
/// # Examples
/// ```
/// use ndarray::array;
/// use optim::Sgd;
/// use sync_replicas::record::{Cursor, Record};
/// use sync_replicas::{Gradients, ReplicaId, SyncReplicas, Variables};
///
/// let record = Record::new();
/// let variables = Variables::new().with("w", array![4.0_f64])?;
/// let trainer = SyncReplicas::new(Sgd::new(0.5)).record(&record).build(variables)?;
/// let mut replica = trainer.replica(ReplicaId::new(0))?;
/// let step = replica.next_step()?.expect("training goes on");
/// step.push(Gradients::new().dense("w", array![1.0]))?;
/// drop(replica);
///
/// let mut cursor = Cursor::default();
/// let news = record.since(&mut cursor);
/// assert_eq!(news.updates[0].step, 1);
/// assert!(!news.spans.is_empty());
/// assert!(record.since(&mut cursor).updates.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Kept>>);

/// One update.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateMade {
    /// The global step that it made.
    pub step: i64,
    /// The mean loss of its gradients, before the update.
    pub loss: Option<f64>,
    /// Examples in its gradients.
    pub examples: u64,
    /// When it was made, on the clock of the spans.
    pub at: Duration,
}

/// A checkpoint that was not written; training went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedSave {
    /// The global step that it would have been of.
    pub step: i64,
    /// Why not.
    pub reason: String,
}

/// How far a reader of a [`Record`] has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    updates: u64,
    spans: u64,
    failed_saves: u64,
}

/// What a reader of a [`Record`] has not seen yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// In the order in which they were made.
    pub updates: Vec<UpdateMade>,
    /// Each replica's in order of time.
    pub spans: Vec<Span>,
    /// Checkpoints that were not written.
    pub failed_saves: Vec<FailedSave>,
    /// Updates and spans that were dropped before this reader came for them.
    pub missed: u64,
}

#[derive(Debug, Default)]
struct Kept {
    updates: Latest<UpdateMade>,
    spans: Latest<Span>,
    failed_saves: Latest<FailedSave>,
    /// What the clock showed when training began.
    zero: Duration,
}

/// The latest of many, numbered from 0.
#[derive(Debug)]
struct Latest<T> {
    kept: VecDeque<T>,
    /// The number of the first that is kept.
    first: u64,
}

impl Record {
    /// As many updates and as many spans are kept.
    pub const MOST: usize = 1 << 15;

    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the reader has not seen yet.
    #[must_use]
    pub fn since(&self, cursor: &mut Cursor) -> News {
        let kept = lock(&self.0);
        let (updates, missed_updates) = kept.updates.since(&mut cursor.updates);
        let (spans, missed_spans) = kept.spans.since(&mut cursor.spans);
        let (failed_saves, _) = kept.failed_saves.since(&mut cursor.failed_saves);
        News { updates, spans, failed_saves, missed: missed_updates + missed_spans }
    }

    /// Training begins at this time of the clock: what is added from now on counts from there.
    pub fn begin(&self, now: Duration) {
        lock(&self.0).zero = now;
    }

    /// Adds an update.
    pub fn add_update(&self, mut update: UpdateMade) {
        let mut kept = lock(&self.0);
        update.at = update.at.saturating_sub(kept.zero);
        kept.updates.add(update);
    }

    /// Adds a checkpoint that was not written.
    pub fn add_failed_save(&self, failed: FailedSave) {
        lock(&self.0).failed_saves.add(failed);
    }

    /// Adds spans of one replica, in order of time.
    pub fn add_spans(&self, spans: impl IntoIterator<Item = Span>) {
        let mut kept = lock(&self.0);
        let zero = kept.zero;
        for mut span in spans {
            span.start = span.start.saturating_sub(zero);
            span.end = span.end.saturating_sub(zero);
            kept.spans.add(span);
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").finish_non_exhaustive()
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new(), first: 0 }
    }
}

impl<T: Clone> Latest<T> {
    fn add(&mut self, item: T) {
        if self.kept.len() >= Record::MOST {
            self.kept.pop_front();
            self.first += 1;
        }
        self.kept.push_back(item);
    }

    /// Those from a number on, and how many of them are kept no more.
    fn since(&self, next: &mut u64) -> (Vec<T>, u64) {
        let missed = self.first.saturating_sub(*next);
        let skip = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        *next = self.first + self.kept.len() as u64;
        (self.kept.iter().skip(skip).cloned().collect(), missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(step: i64) -> UpdateMade {
        UpdateMade { step, loss: None, examples: 0, at: Duration::from_secs(step.unsigned_abs()) }
    }

    #[test]
    fn each_reader_sees_what_is_new_to_it_and_hears_what_it_missed() {
        let record = Record::new();
        let mut early = Cursor::default();
        let steps = |news: &News| news.updates.iter().map(|it| it.step).collect::<Vec<_>>();
        record.add_update(update(1));
        assert_eq!(steps(&record.since(&mut early)), [1]);
        assert_eq!(record.since(&mut early), News::default());
        let most = Record::MOST as i64;
        (2..=most + 3).for_each(|step| record.add_update(update(step)));
        let (seen, fresh) = (record.since(&mut early), record.since(&mut Cursor::default()));
        assert_eq!((seen.missed, fresh.missed), (2, 3));
        assert_eq!(steps(&seen), steps(&fresh));
        assert_eq!((seen.updates.len(), seen.updates[0].step), (Record::MOST, 4));
    }

    #[test]
    fn times_count_from_the_beginning_of_training() {
        let record = Record::new();
        record.begin(Duration::from_secs(2));
        record.add_update(update(5));
        record.add_update(update(1));
        let news = record.since(&mut Cursor::default());
        let at: Vec<_> = news.updates.iter().map(|it| it.at.as_secs()).collect();
        assert_eq!(at, [3, 0]);
    }
}
