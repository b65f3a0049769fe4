//! What each replica did when, on the coordinator's clock.
//!
//! A replica tells how long its work took, and the coordinator when it heard of it: no two clocks
//! are compared.

use std::time::Duration;

use sync_replicas::ReplicaId;
use sync_replicas::engine::Tally;
use sync_replicas::record::{ReplicaOutcome, ReplicaReport, Span, SpanKind};

use super::{Coordinator, Totals};

/// How a piece of work went, by the replica's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How long it waited for the token and the variables.
    pub waited: Duration,
    /// How long it computed.
    pub computed: Duration,
    /// From the end of computing to the message that says this.
    pub sent: Duration,
    /// How much of its computing was looking up rows.
    pub looked_up: Duration,
    /// The bytes that travelled meanwhile.
    pub traffic: Traffic,
}

/// The bytes of one piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Gradients that were sent.
    pub gradients: u64,
    /// Variables received.
    pub variables: u64,
    /// Rows of tables received.
    pub rows: u64,
}

/// A finished piece of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct DoneWork {
    pub(super) step: i64,
    /// The number of its batch.
    pub(super) batch: Option<u64>,
    pub(super) kind: SpanKind,
    /// By how many steps it came too late.
    pub(super) staleness: u64,
    pub(super) times: Times,
}

/// What a replica did in all its lives, past generations included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    waited: Duration,
    computed: Duration,
    /// Of past generations: the engine begins anew with each.
    before: Tally,
    unused_before: u64,
}

impl Spent {
    /// The counts of past generations.
    pub(super) fn before(&self) -> &Tally {
        &self.before
    }
}

impl Coordinator {
    /// Notes a piece of work of which the coordinator has just heard. A replica cannot claim more
    /// time than has passed.
    pub(super) fn note(&mut self, index: usize, work: DoneWork) {
        let (record, DoneWork { step, batch, kind, staleness, times }) =
            (&self.records[index], work);
        let most = self.now.saturating_sub(record.granted);
        let sent = times.sent.min(most);
        let computed = times.computed.min(most.saturating_sub(sent));
        let ended = self.now.saturating_sub(sent);
        let began = ended.saturating_sub(computed);
        let waited = times.waited.min(began);
        let looked_up = times.looked_up.min(computed);
        let spent = &mut self.spent[index];
        spent.waited = spent.waited.saturating_add(waited);
        spent.computed = spent.computed.saturating_add(computed);
        let replica = ReplicaId::new(index as u64);
        let Traffic { gradients, variables, rows } = times.traffic;
        let spans = [
            (SpanKind::Waited, (began.saturating_sub(waited), began), variables),
            (kind, (began, ended), 0),
            (SpanKind::LookedUp, (began, began + looked_up), rows),
            (SpanKind::Sent, (ended, self.now), gradients),
        ];
        let spans = spans.into_iter().filter(|(it, (start, end), _)| *it == kind || start < end);
        self.actions.spans.extend(spans.map(|(kind, times, bytes)| Span {
            batch,
            bytes,
            staleness: if kind == SpanKind::Stale { staleness } else { 0 },
            ..Span::new(replica, step, kind, times)
        }));
    }

    /// The generation is over: its counts are kept.
    pub(super) fn keep_counts(&mut self) {
        for index in 0..self.records.len() {
            let (tally, unused) = self.counts(index);
            let spent = &mut self.spent[index];
            (spent.before, spent.unused_before) = (tally, unused);
        }
    }

    /// A replica's counts over all generations, and which of its accepted gradients no update has
    /// used. Updates that a restore takes back have used theirs.
    fn counts(&self, index: usize) -> (Tally, u64) {
        let (replica, spent) = (ReplicaId::new(index as u64), &self.spent[index]);
        let mut tally = self.engine.tally(replica).unwrap_or_default();
        let unused = self.step_stats.unused().filter(|&it| it == replica).count() as u64;
        tally.accepted = tally.accepted.saturating_sub(unused);
        (spent.before.plus(&tally), spent.unused_before.saturating_add(unused))
    }

    /// The counters at the end (P-8): an accepted gradient is one that an update has used.
    #[must_use]
    pub fn final_totals(&self) -> Totals {
        let totals = self.step_stats.totals();
        let unused = (0..self.records.len()).map(|index| self.counts(index).1).sum();
        Totals {
            accepted: totals.accepted.saturating_sub(unused),
            examples: totals.examples.saturating_sub(self.step_stats.unused_examples()),
            ..totals
        }
    }

    /// What each replica did, in all its lives.
    #[must_use]
    pub fn replica_reports(&self) -> Vec<ReplicaReport> {
        let report = |index: usize| {
            let record = &self.records[index];
            let (tally, unused) = self.counts(index);
            ReplicaReport {
                replica: ReplicaId::new(index as u64),
                batches: tally.batches().saturating_add(unused),
                tally,
                unused,
                waited: self.spent[index].waited,
                computed: self.spent[index].computed,
                outcome: match &record.failure {
                    Some(reason) => ReplicaOutcome::Failed(reason.clone()),
                    None if record.left => ReplicaOutcome::DataEnded,
                    None => ReplicaOutcome::Finished,
                },
            }
        };
        (0..self.records.len()).map(report).collect()
    }
}
