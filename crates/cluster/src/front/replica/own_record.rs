//! What a replica records of its own work, by its own clock, for a page of its own process.

use std::time::Duration;

use sync_replicas::ReplicaId;
use sync_replicas::engine::{Grant, Outcome};
use sync_replicas::record::{Record, Span, SpanKind};
use tokio::time::Instant;

use crate::client::WorkTimes;

/// Empty unless requested.
pub(super) struct OwnRecord {
    record: Option<Record>,
    replica: ReplicaId,
    begun: Instant,
    /// The last push, while its outcome is unknown.
    pushed: Option<(Grant, WorkTimes)>,
}

impl OwnRecord {
    pub(super) fn of(record: Option<Record>, replica: ReplicaId) -> Self {
        Self { record, replica, begun: Instant::now(), pushed: None }
    }

    /// Work was pushed; its outcome is heard later.
    pub(super) fn pushed(&mut self, grant: &Grant, times: WorkTimes) {
        if self.record.is_some() {
            self.pushed = Some((grant.clone(), times));
        }
    }

    /// The outcome of the last push.
    pub(super) fn decided(&mut self, outcome: &Outcome) {
        let Some((grant, times)) = self.pushed.take() else { return };
        let (kind, staleness) = SpanKind::of_push(outcome);
        self.done(&grant, times, kind, staleness);
    }

    /// A piece of work is over.
    pub(super) fn done(&self, grant: &Grant, times: WorkTimes, kind: SpanKind, staleness: u64) {
        let Some(record) = &self.record else { return };
        let (step, batch) = (grant.local_step.get(), Some(grant.number));
        let ended = times.ended.saturating_duration_since(self.begun);
        let began = ended.saturating_sub(times.computed);
        let waited = began.saturating_sub(times.waited);
        let span = |kind, from: Duration, to: Duration| Span {
            batch,
            ..Span::new(self.replica, step, kind, (from, to))
        };
        let sent = span(SpanKind::Sent, ended, self.begun.elapsed());
        let computed = Span { staleness, ..span(kind, began, ended) };
        let waited = span(SpanKind::Waited, waited, began);
        let was_sent = !matches!(kind, SpanKind::Superseded | SpanKind::NotFinite);
        record.add_spans([waited, computed].into_iter().chain(was_sent.then_some(sent)));
    }
}
