//! The past that a view shows: the loss of all updates, thinned, and what each replica did lately.
//!
//! Invariant: it holds a bounded number of losses, and of spans and batches of each replica.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use simulator::advice::{Diagnosis, Row, Trace};
use sync_replicas::record::{News, Saved, Span, SpanKind, UpdateMade};

/// How many points of loss are kept, evenly spread over the run.
const LOSSES: usize = 200;
/// How many of its latest batches a replica is judged by.
const BATCHES: usize = 100;
/// How many of the latest updates are shown with what the replicas did.
const UPDATES: usize = 12;
/// From how many of the latest steps slowness is told, and from how many times at most.
const STEPS: i64 = 200;
const TIMES: usize = 20_000;
/// The most spans of one replica.
const SPANS: usize = 96;

/// The past, as far as it is shown.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    losses: Vec<(i64, f64)>,
    /// One point for this many updates.
    every: i64,
    pub(super) updates: VecDeque<UpdateMade>,
    pub(super) replicas: BTreeMap<u64, Lately>,
    /// How long batches took, in the order in which they ended.
    took: VecDeque<Row>,
    pub(super) saved: Option<Saved>,
    /// The latest known time.
    pub(super) now: Duration,
}

/// What one replica did lately.
#[derive(Debug, Default)]
pub(super) struct Lately {
    pub(super) spans: VecDeque<Span>,
    batches: VecDeque<(Duration, SpanKind)>,
}

impl Recent {
    /// Takes what is new.
    pub(crate) fn take(&mut self, news: News) {
        for update in news.updates {
            self.add_loss(&update);
            self.now = self.now.max(update.at);
            self.updates.push_back(update);
            if self.updates.len() > UPDATES {
                self.updates.pop_front();
            }
        }
        for span in news.spans {
            self.now = self.now.max(span.end);
            self.add_time(&span);
            self.replicas.entry(span.replica.get()).or_default().take(span);
        }
        self.saved = news.saves.into_iter().next_back().or(self.saved.take());
    }

    fn add_loss(&mut self, update: &UpdateMade) {
        self.every = self.every.max(1);
        // What a restore took back is made again.
        while self.losses.last().is_some_and(|(step, _)| *step >= update.step) {
            self.losses.pop();
        }
        let Some(loss) = update.loss.filter(|loss| loss.is_finite()) else { return };
        if update.step % self.every != 0 {
            return;
        }
        self.losses.push((update.step, loss));
        if self.losses.len() > 2 * LOSSES {
            self.every *= 2;
            self.losses.retain(|(step, _)| step % self.every == 0);
        }
    }

    fn add_time(&mut self, span: &Span) {
        let Ok(replica) = i64::try_from(span.replica.get()) else { return };
        if span.kind.is_batch() {
            let (step, seconds) = (span.step, span.length().as_secs_f64());
            let finished = span.kind != SpanKind::Superseded;
            self.took.push_back(Row { step, replica, seconds, finished });
        }
        let old = span.step - STEPS;
        while self.took.front().is_some_and(|it| it.step < old) || self.took.len() > TIMES {
            self.took.pop_front();
        }
    }

    /// Which replicas are slow, as far as the latest steps tell.
    pub(super) fn diagnosis(&self) -> Option<Diagnosis> {
        let mut rows: Vec<_> = self.took.iter().copied().collect();
        // Of several batches of a step the first began with those of others.
        rows.sort_by_key(|row| (row.step, row.replica));
        rows.dedup_by_key(|row| (row.step, row.replica));
        Some(Diagnosis::of(&Trace::new(rows).ok()?))
    }

    /// Steps and losses, ascending.
    pub(super) fn losses(&self) -> &[(i64, f64)] {
        &self.losses
    }

    /// The shown stretch of time: of the latest updates.
    pub(super) fn window(&self) -> (Duration, Duration) {
        let from = self.updates.front().map_or(Duration::ZERO, |update| update.at);
        (from, self.now)
    }
}

impl Lately {
    fn take(&mut self, span: Span) {
        if span.kind.is_batch() {
            self.batches.push_back((span.length(), span.kind));
            if self.batches.len() > BATCHES {
                self.batches.pop_front();
            }
        }
        self.spans.push_back(span);
        if self.spans.len() > SPANS {
            self.spans.pop_front();
        }
    }

    /// The part of them that came too late, or was given up for that.
    pub(super) fn late(&self) -> f64 {
        let late = |kind| matches!(kind, SpanKind::Stale | SpanKind::Superseded);
        let count = self.batches.iter().filter(|(_, kind)| late(*kind)).count();
        count as f64 / self.batches.len().max(1) as f64
    }

    /// The median of its computing times, in seconds; a batch that was given up counts with the
    /// time until then.
    pub(super) fn median(&self) -> Option<f64> {
        let mut took: Vec<f64> = self.batches.iter().map(|(took, _)| took.as_secs_f64()).collect();
        if took.is_empty() {
            return None;
        }
        let middle = took.len() / 2;
        Some(*took.select_nth_unstable_by(middle, f64::total_cmp).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(step: i64) -> UpdateMade {
        let at = Duration::from_secs(step.unsigned_abs());
        UpdateMade { step, loss: Some(step as f64), examples: 1, at }
    }

    // However long a run is, its curve has few points, spread over all of it.
    #[test]
    fn losses_are_thinned_and_restores_take_them_back() {
        let mut recent = Recent::default();
        let made = |steps: std::ops::RangeInclusive<i64>| News {
            updates: steps.map(update).collect(),
            ..News::default()
        };
        recent.take(made(1..=100_000));
        let steps: Vec<i64> = recent.losses().iter().map(|(step, _)| *step).collect();
        assert!((LOSSES..=2 * LOSSES).contains(&steps.len()), "{}", steps.len());
        assert!(steps.windows(2).all(|it| it[1] - it[0] == recent.every), "{steps:?}");
        assert_eq!(recent.updates.len(), UPDATES);
        recent.take(made(50_000..=50_001));
        assert!(recent.losses().iter().all(|(step, _)| *step <= 50_001));
    }
}
