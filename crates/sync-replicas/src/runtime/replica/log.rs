//! What a replica did when, and the counters that only the replica can know.
//!
//! The replica itself records them, and hands them to the training's record now and then: a lock
//! for each batch would cost as much as a small step.

use std::time::Duration;

use crate::record::{Record, Span, SpanKind};

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
    pub(crate) fn record(&mut self, span: Span, handed_to: Option<&Record>) {
        let length = span.length();
        if span.kind == SpanKind::Waited {
            self.waited += length;
        } else {
            self.batches += 1;
            self.computed += length;
        }
        if let Some(record) = handed_to {
            let end = span.end;
            self.spans.push(span);
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
