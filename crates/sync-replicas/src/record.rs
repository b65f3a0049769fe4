//! What happened when: the latest of it one by one, and all of it counted.
//!
//! Training writes it, and any thread may read it meanwhile: every view of a training is drawn from
//! it. Invariant: it never holds more than [`Record::MOST`] of each kind.

mod activity;
mod event;
mod histogram;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, SystemTime};

pub use self::activity::{Activity, ReplicaActivity};
pub use self::event::{FailedSave, Failure, Saved, Span, SpanKind, UpdateMade, UpdateSpan};
pub use self::histogram::Histogram;
pub use crate::report::{ReplicaOutcome, ReplicaReport};
pub use crate::store::Totals;
use crate::sync::{Arc, Mutex, lock};

/// The record of one training, to be read while it trains; clones are the same record.
///
/// In a cluster parameter server 0's is complete, and the chief has the latest part of it
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

/// How far a reader of a [`Record`] has come: the numbers of what comes next, which may travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Of the next update.
    pub updates: u64,
    /// Of the next span of a replica.
    pub spans: u64,
    /// Of the next update of a server.
    pub update_spans: u64,
    /// Of the next checkpoint.
    pub saves: u64,
    /// Of the next checkpoint that was not written.
    pub failed_saves: u64,
    /// Of the next failure.
    pub failures: u64,
}

/// What a reader of a [`Record`] has not seen yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// In the order in which they were made.
    pub updates: Vec<UpdateMade>,
    /// Each replica's in order of time.
    pub spans: Vec<Span>,
    /// Each server's in order of time.
    pub update_spans: Vec<UpdateSpan>,
    /// Checkpoints that were written.
    pub saves: Vec<Saved>,
    /// Checkpoints that were not written.
    pub failed_saves: Vec<FailedSave>,
    /// Replicas that failed.
    pub failures: Vec<Failure>,
    /// Updates and spans of replicas that were dropped before this reader read them.
    pub missed: u64,
}

#[derive(Debug, Default)]
struct Kept {
    updates: Latest<UpdateMade>,
    spans: Latest<Span>,
    update_spans: Latest<UpdateSpan>,
    saves: Latest<Saved>,
    failed_saves: Latest<FailedSave>,
    failures: Latest<Failure>,
    activity: Activity,
    /// What the clock showed when training began.
    zero: Duration,
    /// What the system's clock showed then.
    began: Option<SystemTime>,
}

/// The latest of many, numbered from 0.
#[derive(Debug)]
struct Latest<T> {
    kept: VecDeque<T>,
    /// The number of the first that is kept.
    first: u64,
}

impl Record {
    /// The most of each kind that are kept.
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
        News {
            updates,
            spans,
            update_spans: kept.update_spans.since(&mut cursor.update_spans).0,
            saves: kept.saves.since(&mut cursor.saves).0,
            failed_saves: kept.failed_saves.since(&mut cursor.failed_saves).0,
            failures: kept.failures.since(&mut cursor.failures).0,
            missed: missed_updates + missed_spans,
        }
    }

    /// All that has happened, counted.
    #[must_use]
    pub fn activity(&self) -> Activity {
        lock(&self.0).activity.clone()
    }

    /// When training began, by the system's clock; all times of the record count from there. `None`
    /// before, and for a record filled from another one ([`Record::add_news`]).
    #[must_use]
    pub fn began(&self) -> Option<SystemTime> {
        lock(&self.0).began
    }

    /// Training begins now, at this time of the clock: later additions count from there.
    pub fn begin(&self, now: Duration) {
        let mut kept = lock(&self.0);
        kept.zero = now;
        kept.began = Some(SystemTime::now());
        // The time to the first update of a life is no step's.
        kept.activity.last_update = None;
    }

    /// Adds an update.
    pub fn add_update(&self, mut update: UpdateMade) {
        let mut kept = lock(&self.0);
        update.at = update.at.saturating_sub(kept.zero);
        kept.activity.update(&update);
        kept.updates.add(update);
    }

    /// Adds what a server's part of an update took.
    pub fn add_update_span(&self, mut span: UpdateSpan) {
        let mut kept = lock(&self.0);
        span.start = span.start.saturating_sub(kept.zero);
        span.end = span.end.saturating_sub(kept.zero);
        kept.activity.update_span(&span);
        kept.update_spans.add(span);
    }

    /// Adds a checkpoint that was written.
    pub fn add_save(&self, mut saved: Saved) {
        let mut kept = lock(&self.0);
        saved.at = saved.at.saturating_sub(kept.zero);
        kept.activity.saved(&saved);
        kept.saves.add(saved);
    }

    /// Adds a checkpoint that was not written.
    pub fn add_failed_save(&self, failed: FailedSave) {
        let mut kept = lock(&self.0);
        kept.activity.failed_save(&failed);
        kept.failed_saves.add(failed);
    }

    /// Adds a replica that failed.
    pub fn add_failure(&self, failure: Failure) {
        let mut kept = lock(&self.0);
        kept.activity.failure(&failure);
        kept.failures.add(failure);
    }

    /// Adds another record's news, as its reader; their times stay as they are.
    pub fn add_news(&self, news: News) {
        news.updates.into_iter().for_each(|update| self.add_update(update));
        self.add_spans(news.spans);
        news.update_spans.into_iter().for_each(|span| self.add_update_span(span));
        news.saves.into_iter().for_each(|saved| self.add_save(saved));
        news.failed_saves.into_iter().for_each(|failed| self.add_failed_save(failed));
        news.failures.into_iter().for_each(|failure| self.add_failure(failure));
    }

    /// Adds spans of one replica, in order of time.
    pub fn add_spans(&self, spans: impl IntoIterator<Item = Span>) {
        let mut kept = lock(&self.0);
        let zero = kept.zero;
        for mut span in spans {
            span.start = span.start.saturating_sub(zero);
            span.end = span.end.saturating_sub(zero);
            kept.activity.span(&span);
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

    /// Those from a number on, and how many of them are no longer kept.
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
    use engine::ReplicaId;

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
        assert_eq!(record.began(), None);
        let before = SystemTime::now();
        record.begin(Duration::from_secs(2));
        let began = record.began().expect("it has begun");
        assert!(before <= began && began <= SystemTime::now());
        record.add_update(update(5));
        record.add_update(update(1));
        let news = record.since(&mut Cursor::default());
        let at: Vec<_> = news.updates.iter().map(|it| it.at.as_secs()).collect();
        assert_eq!(at, [3, 0]);
    }

    // What is kept is bounded, and what is counted is not.
    #[test]
    fn all_is_counted_though_only_the_latest_is_kept() {
        let record = Record::new();
        let replica = ReplicaId::new(3);
        let second = Duration::from_secs(1);
        let span = |kind| Span { bytes: 10, ..Span::new(replica, 1, kind, (second, 3 * second)) };
        let stale = Span { staleness: 2, ..span(SpanKind::Stale) };
        for _ in 0..Record::MOST {
            record.add_spans([span(SpanKind::Waited), span(SpanKind::Accepted)]);
        }
        record.add_spans([stale, span(SpanKind::Sent), span(SpanKind::LookedUp)]);
        record.add_failure(Failure { replica, reason: "no disk".to_owned() });
        record.add_failed_save(FailedSave { step: 1, reason: "full".to_owned() });
        (1..=3).for_each(|step| record.add_update(update(step)));
        let news = record.since(&mut Cursor::default());
        assert_eq!((news.spans.len(), news.missed), (Record::MOST, Record::MOST as u64 + 3));
        let activity = record.activity();
        let it = &activity.replicas[&replica];
        let most = Record::MOST as u64;
        assert_eq!((it.accepted, it.stale, it.superseded, it.failures), (most, 1, 0, 1));
        let counts = [&it.compute_seconds, &it.wait_seconds, &it.send_seconds, &it.lookup_seconds];
        assert_eq!(counts.map(Histogram::count), [most + 1, most, 1, 1]);
        assert_eq!(it.compute_seconds.sum(), 2.0 * (most + 1) as f64);
        assert_eq!((it.sent_bytes, it.received_bytes), (10, 10 * (2 * most + 2)));
        assert_eq!((activity.staleness.count(), activity.staleness.sum()), (most + 1, 2.0));
        assert_eq!((activity.updates, activity.failed_saves), (3, 1));
        assert_eq!((activity.step_seconds.count(), activity.step_seconds.sum()), (2, 2.0));
    }
}
