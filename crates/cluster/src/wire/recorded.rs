//! The record of a training as it travels: from the coordinator, which has seen all of it, to the
//! chief, which tells of it.

use std::time::Duration;

use sync_replicas::engine::Tally;
use sync_replicas::record::{News, ReplicaOutcome, ReplicaReport, Span, SpanKind, UpdateMade};
use sync_replicas::{GlobalStep, ReplicaId};

use crate::coordinator::Totals;
use crate::proto;

/// The end of a training, as the coordinator saw it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The counters; an accepted gradient is one that an update has used.
    pub totals: Totals,
    /// What each replica did.
    pub replicas: Vec<ReplicaReport>,
    /// The latest updates and spans.
    pub news: News,
    /// How long training took.
    pub elapsed: Duration,
    /// The update that it began with, or went on from.
    pub first_step: GlobalStep,
}

/// More of the latest updates and spans than this are not sent.
const MOST: usize = 1 << 13;

impl From<Recorded> for proto::Recorded {
    fn from(recorded: Recorded) -> Self {
        let News { updates, spans, .. } = recorded.news;
        let from = |length: usize| length.saturating_sub(MOST);
        let (first_update, first_span) = (from(updates.len()), from(spans.len()));
        Self {
            totals: Some(recorded.totals.into()),
            replicas: recorded.replicas.into_iter().map(activity).collect(),
            updates: updates.into_iter().skip(first_update).map(update).collect(),
            spans: spans.into_iter().skip(first_span).map(span).collect(),
            seconds: recorded.elapsed.as_secs_f64(),
            first_step: recorded.first_step.get(),
        }
    }
}

impl From<proto::Recorded> for Recorded {
    fn from(recorded: proto::Recorded) -> Self {
        let replicas = recorded.replicas.into_iter().zip(0..);
        Self {
            totals: recorded.totals.unwrap_or_default().into(),
            replicas: replicas.map(|(it, index)| report(it, index)).collect(),
            news: News {
                updates: recorded.updates.into_iter().map(made).collect(),
                spans: recorded.spans.into_iter().filter_map(stretch).collect(),
                failed_saves: Vec::new(),
                missed: 0,
            },
            elapsed: time(recorded.seconds),
            first_step: GlobalStep::new(recorded.first_step),
        }
    }
}

/// What makes no sense as a time is none.
pub(super) fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn activity(report: ReplicaReport) -> proto::Activity {
    let tally = report.tally;
    proto::Activity {
        accepted: tally.accepted,
        stale: tally.stale,
        duplicates: tally.duplicates,
        superseded: tally.superseded,
        non_finite: tally.non_finite,
        failed_batches: tally.failed_batches,
        tokens: tally.tokens,
        expired: tally.expired,
        unused: report.unused,
        waited: report.waited.as_secs_f64(),
        computed: report.computed.as_secs_f64(),
        failure: report.outcome.failure().map(str::to_owned),
        data_ended: report.outcome == ReplicaOutcome::DataEnded,
    }
}

fn report(it: proto::Activity, index: u64) -> ReplicaReport {
    let tally = Tally {
        accepted: it.accepted,
        stale: it.stale,
        duplicates: it.duplicates,
        superseded: it.superseded,
        non_finite: it.non_finite,
        failed_batches: it.failed_batches,
        tokens: it.tokens,
        expired: it.expired,
    };
    ReplicaReport {
        replica: ReplicaId::new(index),
        batches: tally.batches().saturating_add(it.unused),
        tally,
        unused: it.unused,
        waited: time(it.waited),
        computed: time(it.computed),
        outcome: match it.failure {
            Some(reason) => ReplicaOutcome::Failed(reason),
            None if it.data_ended => ReplicaOutcome::DataEnded,
            None => ReplicaOutcome::Finished,
        },
    }
}

fn update(it: UpdateMade) -> proto::UpdateMade {
    let UpdateMade { step, loss, examples, at } = it;
    proto::UpdateMade { step, loss, examples, at: at.as_secs_f64() }
}

fn made(it: proto::UpdateMade) -> UpdateMade {
    UpdateMade { step: it.step, loss: it.loss, examples: it.examples, at: time(it.at) }
}

fn span(it: Span) -> proto::Span {
    let kind = match it.kind {
        SpanKind::Accepted => proto::SpanKind::Accepted,
        SpanKind::Stale => proto::SpanKind::Stale,
        SpanKind::Duplicate => proto::SpanKind::Duplicate,
        SpanKind::Superseded => proto::SpanKind::Superseded,
        SpanKind::Sent => proto::SpanKind::Sent,
        SpanKind::NotFinite => proto::SpanKind::NotFinite,
        _ => proto::SpanKind::Waited,
    };
    proto::Span {
        replica: it.replica.get(),
        step: it.step,
        kind: kind.into(),
        start: it.start.as_secs_f64(),
        end: it.end.as_secs_f64(),
    }
}

/// One of a kind that this version does not know is passed over.
fn stretch(it: proto::Span) -> Option<Span> {
    let kind = match proto::SpanKind::try_from(it.kind).ok()? {
        proto::SpanKind::Waited => SpanKind::Waited,
        proto::SpanKind::Accepted => SpanKind::Accepted,
        proto::SpanKind::Stale => SpanKind::Stale,
        proto::SpanKind::Duplicate => SpanKind::Duplicate,
        proto::SpanKind::Superseded => SpanKind::Superseded,
        proto::SpanKind::Sent => SpanKind::Sent,
        proto::SpanKind::NotFinite => SpanKind::NotFinite,
    };
    let (start, end) = (time(it.start), time(it.end));
    Some(Span { replica: ReplicaId::new(it.replica), step: it.step, kind, start, end })
}
