//! The record of a training as it travels: from the coordinator, which has seen all of it, to its
//! readers.

use std::time::Duration;

use sync_replicas::engine::Tally;
use sync_replicas::record::{
    Cursor, FailedSave, Failure, News, ReplicaOutcome, ReplicaReport, Saved, Span, SpanKind,
    UpdateMade, UpdateSpan,
};
use sync_replicas::{GlobalStep, ReplicaId};

use crate::coordinator::Totals;
use crate::proto;

/// A training, as the coordinator has seen it so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// The counters; an accepted gradient is one that an update has used.
    pub totals: Totals,
    /// What each replica did.
    pub replicas: Vec<ReplicaReport>,
    /// What its reader had not seen.
    pub news: News,
    /// The reader's new position.
    pub cursor: Cursor,
    /// How long training took, or has taken.
    pub elapsed: Duration,
    /// The update that it began with, or went on from.
    pub first_step: GlobalStep,
}

/// More of the latest of each kind than this are not sent.
const MOST: usize = 1 << 14;

impl From<Recorded> for proto::Recorded {
    fn from(recorded: Recorded) -> Self {
        let news = recorded.news;
        let unsent = [news.updates.len(), news.spans.len()].map(|it| it.saturating_sub(MOST));
        Self {
            totals: Some(recorded.totals.into()),
            replicas: recorded.replicas.into_iter().map(activity).collect(),
            updates: latest(news.updates, update),
            spans: latest(news.spans, span),
            update_spans: latest(news.update_spans, update_span),
            saves: latest(news.saves, saved),
            failed_saves: latest(news.failed_saves, save_failed),
            failures: latest(news.failures, failure),
            missed: news.missed + unsent.iter().sum::<usize>() as u64,
            next: Some(recorded.cursor.into()),
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
                update_spans: recorded.update_spans.into_iter().map(updated).collect(),
                saves: recorded.saves.into_iter().map(was_saved).collect(),
                failed_saves: recorded.failed_saves.into_iter().map(was_not_saved).collect(),
                failures: recorded.failures.into_iter().map(failed).collect(),
                missed: recorded.missed,
            },
            cursor: recorded.next.unwrap_or_default().into(),
            elapsed: time(recorded.seconds),
            first_step: GlobalStep::new(recorded.first_step),
        }
    }
}

/// The latest of them, as they travel.
fn latest<A, B>(all: Vec<A>, travels: impl FnMut(A) -> B) -> Vec<B> {
    let first = all.len().saturating_sub(MOST);
    all.into_iter().skip(first).map(travels).collect()
}

impl From<Cursor> for proto::Cursor {
    fn from(cursor: Cursor) -> Self {
        let Cursor { updates, spans, update_spans, saves, failed_saves, failures } = cursor;
        Self { updates, spans, update_spans, saves, failed_saves, failures }
    }
}

impl From<proto::Cursor> for Cursor {
    fn from(cursor: proto::Cursor) -> Self {
        let proto::Cursor { updates, spans, update_spans, saves, failed_saves, failures } = cursor;
        Self { updates, spans, update_spans, saves, failed_saves, failures }
    }
}

/// An invalid time counts as none.
pub(crate) fn time(seconds: f64) -> Duration {
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
        SpanKind::LookedUp => proto::SpanKind::LookedUp,
        _ => proto::SpanKind::Waited,
    };
    proto::Span {
        replica: it.replica.get(),
        step: it.step,
        kind: kind.into(),
        start: it.start.as_secs_f64(),
        end: it.end.as_secs_f64(),
        batch: it.batch,
        bytes: it.bytes,
        staleness: it.staleness,
    }
}

/// Unknown kinds are skipped.
fn stretch(it: proto::Span) -> Option<Span> {
    let kind = match proto::SpanKind::try_from(it.kind).ok()? {
        proto::SpanKind::Waited => SpanKind::Waited,
        proto::SpanKind::Accepted => SpanKind::Accepted,
        proto::SpanKind::Stale => SpanKind::Stale,
        proto::SpanKind::Duplicate => SpanKind::Duplicate,
        proto::SpanKind::Superseded => SpanKind::Superseded,
        proto::SpanKind::Sent => SpanKind::Sent,
        proto::SpanKind::NotFinite => SpanKind::NotFinite,
        proto::SpanKind::LookedUp => SpanKind::LookedUp,
    };
    let proto::Span { replica, step, start, end, batch, bytes, staleness, .. } = it;
    let times = (time(start), time(end));
    let span = Span::new(ReplicaId::new(replica), step, kind, times);
    Some(Span { batch, bytes, staleness, ..span })
}

fn update_span(it: UpdateSpan) -> proto::UpdateSpan {
    let UpdateSpan { server, step, start, end } = it;
    proto::UpdateSpan { server, step, start: start.as_secs_f64(), end: end.as_secs_f64() }
}

fn updated(it: proto::UpdateSpan) -> UpdateSpan {
    let proto::UpdateSpan { server, step, start, end } = it;
    UpdateSpan { server, step, start: time(start), end: time(end) }
}

fn saved(it: Saved) -> proto::Saved {
    let Saved { step, at, took, bytes } = it;
    proto::Saved { step, at: at.as_secs_f64(), took: took.as_secs_f64(), bytes }
}

fn was_saved(it: proto::Saved) -> Saved {
    let proto::Saved { step, at, took, bytes } = it;
    Saved { step, at: time(at), took: time(took), bytes }
}

fn save_failed(it: FailedSave) -> proto::SaveFailed {
    let FailedSave { step, reason } = it;
    proto::SaveFailed { step, reason }
}

fn was_not_saved(it: proto::SaveFailed) -> FailedSave {
    FailedSave { step: it.step, reason: super::reason(it.reason) }
}

fn failure(it: Failure) -> proto::Failure {
    proto::Failure { replica: it.replica.get(), reason: it.reason }
}

fn failed(it: proto::Failure) -> Failure {
    Failure { replica: ReplicaId::new(it.replica), reason: super::reason(it.reason) }
}
