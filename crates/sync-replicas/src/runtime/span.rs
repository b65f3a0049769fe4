//! What each replica did when: the timeline, and the counters that only the replica can know.
//!
//! Recorded by the replica itself, and handed to the training's record now and then: a lock for
//! each batch would cost as much as a small step.

use std::time::Duration;

use accum_core::LocalStep;
use serde::{Deserialize, Serialize};

use crate::Record;
use engine::ReplicaId;

/// One stretch of a replica's time.
///
/// A wait ends, and computing begins, when the token is given: a replica that comes for it late is
/// slow, and does not wait. Measured once a step, at the push, as a clock costs as much as a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Whose.
    pub replica: ReplicaId,
    /// The step that it claimed (after a wait: claims next).
    pub step: i64,
    /// What it did, and for computed batches what came of them.
    pub kind: SpanKind,
    /// Since training began.
    pub start: Duration,
    /// Since training began.
    pub end: Duration,
}

/// What a replica did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpanKind {
    /// It waited for a token.
    Waited,
    /// It computed a batch whose gradient became part of the step.
    Accepted,
    /// It computed a batch whose gradient was dropped as stale.
    Stale,
    /// It computed a share that another replica was first with.
    Duplicate,
    /// It computed a batch whose gradient is infinite or NaN, and was left out.
    NotFinite,
    /// It began a batch and gave it up, since the step was over.
    Superseded,
    /// It sent a batch's gradient to the servers of its cluster.
    Sent,
}

/// Spans are handed in after this many,
const MANY: usize = 64;
/// or after this long, whichever is first.
const SOON: Duration = Duration::from_millis(500);

/// One replica's own records.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplicaLog {
    /// Not handed in yet.
    spans: Vec<Span>,
    pub(crate) batches: u64,
    pub(crate) waited: Duration,
    pub(crate) computed: Duration,
}

impl ReplicaLog {
    pub(crate) fn record(
        &mut self,
        replica: ReplicaId,
        step: LocalStep,
        kind: SpanKind,
        (start, end): (Duration, Duration),
        handed_to: Option<&Record>,
    ) {
        let length = end.saturating_sub(start);
        if kind == SpanKind::Waited {
            self.waited += length;
        } else {
            self.batches += 1;
            self.computed += length;
        }
        if let Some(record) = handed_to {
            self.spans.push(Span { replica, step: step.get(), kind, start, end });
            let since = self.spans.first().map_or(end, |first| first.start);
            if self.spans.len() >= MANY || end.saturating_sub(since) >= SOON {
                self.hand_to(record);
            }
        }
    }

    /// Hands in what is left.
    pub(crate) fn hand_to(&mut self, record: &Record) {
        record.add_spans(self.spans.drain(..));
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        self.batches += other.batches;
        self.waited += other.waited;
        self.computed += other.computed;
    }
}
