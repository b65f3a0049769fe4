//! Reports on a stretch of updates together: rates, and the times of batches.
//!
//! Invariant: stretches are a second at least, and grow with the training so far, so that there are
//! few of them.

use std::collections::BTreeMap;

use sync_replicas::record::{Span, SpanKind};

use crate::run::metrics::Update;

/// The shortest stretch, in seconds,
const SHORTEST: f64 = 1.0;

/// and the shortest part of a training so far.
const PART: f64 = 1.0 / 200.0;

/// Replicas from this number on have no histogram.
const MOST: u64 = 64;

/// The present stretch.
#[derive(Debug, Default)]
pub(super) struct Interval {
    /// When it began, in seconds since training did, and when its last update was.
    begun: f64,
    last: f64,
    updates: u64,
    examples: u64,
    /// Of all stretches: batches that came too late, and that were given up.
    stale: u64,
    superseded: u64,
    compute_seconds: BTreeMap<String, Vec<f64>>,
}

/// A finished stretch.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) scalars: [(&'static str, f64); 4],
    /// Of each replica, and of all.
    pub(super) compute_seconds: BTreeMap<String, Vec<f64>>,
}

impl Interval {
    /// Whether it ends with this update.
    pub(super) fn update(&mut self, update: &Update) -> bool {
        if update.seconds < self.last {
            // Training was begun anew, and its clock with it.
            self.begun = update.seconds;
        }
        self.last = update.seconds;
        self.updates += 1;
        self.examples += update.examples;
        self.last - self.begun >= SHORTEST.max(PART * self.last)
    }

    pub(super) fn span(&mut self, span: &Span) {
        match span.kind {
            kind if !kind.is_batch() => return,
            SpanKind::Stale => self.stale += 1,
            SpanKind::Superseded => self.superseded += 1,
            _ => {}
        }
        let seconds = span.length().as_secs_f64();
        let replica = span.replica.get();
        let own = (replica < MOST).then(|| format!("compute_seconds/replica_{replica}"));
        for name in own.into_iter().chain(["compute_seconds/all".to_owned()]) {
            self.compute_seconds.entry(name).or_default().push(seconds);
        }
    }

    /// Its result; nothing without an update or a time. The next one begins.
    pub(super) fn take(&mut self) -> Option<Told> {
        let seconds = self.last - self.begun;
        if self.updates == 0 || seconds <= 0.0 {
            return None;
        }
        let scalars = [
            ("updates_per_second", self.updates as f64 / seconds),
            ("examples_per_second", self.examples as f64 / seconds),
            ("stale", self.stale as f64),
            ("superseded", self.superseded as f64),
        ];
        (self.begun, self.updates, self.examples) = (self.last, 0, 0);
        Some(Told { scalars, compute_seconds: std::mem::take(&mut self.compute_seconds) })
    }
}
