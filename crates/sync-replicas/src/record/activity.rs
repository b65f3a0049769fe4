//! What a record counts: for each replica, for each server, in all. None of it is ever dropped.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::ReplicaId;

use super::{FailedSave, Failure, Histogram, Saved, Span, SpanKind, UpdateMade, UpdateSpan};

/// Everything that happened since a [`Record`](super::Record) was begun, counted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Activity {
    /// Each replica that did anything.
    pub replicas: BTreeMap<ReplicaId, ReplicaActivity>,
    /// Updates made.
    pub updates: u64,
    /// Examples in them.
    pub examples: u64,
    /// From one update to the next, in seconds.
    pub step_seconds: Histogram,
    /// By how many steps gradients came too late; 0 for those that did not.
    pub staleness: Histogram,
    /// By server: the duration of its part of an update, in seconds.
    pub update_seconds: BTreeMap<u64, Histogram>,
    /// How long checkpoints took, in seconds.
    pub save_seconds: Histogram,
    /// How large they were, in bytes.
    pub save_bytes: Histogram,
    /// Those that were not written.
    pub failed_saves: u64,
    /// The newest update, and when it was made, since training began.
    pub last_update: Option<(i64, Duration)>,
}

/// What one replica did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReplicaActivity {
    /// Batches that became part of an update.
    pub accepted: u64,
    /// Batches that came too late.
    pub stale: u64,
    /// Batches that another replica was first with.
    pub duplicates: u64,
    /// Batches left out, since their gradients were infinite or NaN.
    pub not_finite: u64,
    /// Batches given up, since their step was over.
    pub superseded: u64,
    /// How long each batch was computed, in seconds, also of those given up.
    pub compute_seconds: Histogram,
    /// How long it waited for each token, in seconds.
    pub wait_seconds: Histogram,
    /// How long gradients were sent, in seconds.
    pub send_seconds: Histogram,
    /// How long the rows of a batch were looked up, in seconds.
    pub lookup_seconds: Histogram,
    /// Gradients that it sent to servers.
    pub sent_bytes: u64,
    /// Variables and rows that servers sent to it.
    pub received_bytes: u64,
    /// How often it failed.
    pub failures: u64,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            replicas: BTreeMap::new(),
            updates: 0,
            examples: 0,
            step_seconds: Histogram::of_seconds(),
            staleness: Histogram::of_counts(),
            update_seconds: BTreeMap::new(),
            save_seconds: Histogram::of_seconds(),
            save_bytes: Histogram::of_bytes(),
            failed_saves: 0,
            last_update: None,
        }
    }
}

impl Default for ReplicaActivity {
    fn default() -> Self {
        Self {
            accepted: 0,
            stale: 0,
            duplicates: 0,
            not_finite: 0,
            superseded: 0,
            compute_seconds: Histogram::of_seconds(),
            wait_seconds: Histogram::of_seconds(),
            send_seconds: Histogram::of_seconds(),
            lookup_seconds: Histogram::of_seconds(),
            sent_bytes: 0,
            received_bytes: 0,
            failures: 0,
        }
    }
}

impl Activity {
    pub(super) fn update(&mut self, update: &UpdateMade) {
        self.updates += 1;
        self.examples = self.examples.saturating_add(update.examples);
        if let Some((_, before)) = self.last_update {
            self.step_seconds.add(update.at.saturating_sub(before).as_secs_f64());
        }
        self.last_update = Some((update.step, update.at));
    }

    pub(super) fn update_span(&mut self, span: &UpdateSpan) {
        let seconds = self.update_seconds.entry(span.server).or_insert_with(Histogram::of_seconds);
        seconds.add(span.end.saturating_sub(span.start).as_secs_f64());
    }

    pub(super) fn span(&mut self, span: &Span) {
        let it = self.replicas.entry(span.replica).or_default();
        let seconds = span.length().as_secs_f64();
        match span.kind {
            SpanKind::Accepted => it.accepted += 1,
            SpanKind::Stale => it.stale += 1,
            SpanKind::Duplicate => it.duplicates += 1,
            SpanKind::NotFinite => it.not_finite += 1,
            SpanKind::Superseded => it.superseded += 1,
            SpanKind::Waited => it.wait_seconds.add(seconds),
            SpanKind::Sent => it.send_seconds.add(seconds),
            SpanKind::LookedUp => it.lookup_seconds.add(seconds),
        }
        if span.kind.is_batch() {
            it.compute_seconds.add(seconds);
        }
        match span.kind {
            SpanKind::Sent => it.sent_bytes = it.sent_bytes.saturating_add(span.bytes),
            _ => it.received_bytes = it.received_bytes.saturating_add(span.bytes),
        }
        if matches!(span.kind, SpanKind::Accepted | SpanKind::Stale) {
            self.staleness.add(span.staleness as f64);
        }
    }

    pub(super) fn saved(&mut self, saved: &Saved) {
        self.save_seconds.add(saved.took.as_secs_f64());
        self.save_bytes.add(saved.bytes as f64);
    }

    pub(super) fn failed_save(&mut self, _: &FailedSave) {
        self.failed_saves += 1;
    }

    pub(super) fn failure(&mut self, failure: &Failure) {
        self.replicas.entry(failure.replica).or_default().failures += 1;
    }
}
