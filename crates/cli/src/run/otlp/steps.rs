//! Turns a record's news into spans: a trace for each step, with a span that stands for it and is
//! the parent of what replicas and servers did.
//!
//! A step's own span reaches from its first token to the end of its update. Invariants: each step
//! that ends has one, after its update and once each time that it is made; names of spans say what
//! was done and never to which step, since readers count by name.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use sync_replicas::checkpoint::RunId;
use sync_replicas::record::{self, News, Record, SpanKind, UpdateMade, UpdateSpan};

use super::attributes::{attribute, integer, number, of_span};
use super::ids::{SpanIds, StepIds};

/// W3C's flag "sampled", and that the parent is no other system's.
const FLAGS: u32 = 0x101;

type Times = (Duration, Duration);

/// The unfinished steps of a run.
#[derive(Debug)]
pub(super) struct Steps {
    run: RunId,
    /// How many reads after its update a step gets its own span: news of replicas comes later.
    patience: u32,
    ids: SpanIds,
    open: BTreeMap<i64, Open>,
    /// The step that the latest update was made of.
    latest: Option<i64>,
    /// Steps before this one have their own spans.
    closed: i64,
}

/// A step whose own span was not made.
#[derive(Debug, Default)]
struct Open {
    /// From its first token.
    start: Option<Duration>,
    end: Duration,
    /// Once its update was made.
    update: Option<Update>,
}

#[derive(Debug, Default)]
struct Update {
    loss: Option<f64>,
    examples: Option<u64>,
    /// How many looks ago it was there.
    age: u32,
}

impl Steps {
    pub(super) fn new(run: RunId, patience: u32) -> Self {
        let (ids, open) = (SpanIds::new(), BTreeMap::new());
        Self { run, patience, ids, open, latest: None, closed: i64::MIN }
    }

    /// Spans of the news of a training that began then; the last news includes steps that did not
    /// end.
    pub(super) fn add(&mut self, news: &News, began: SystemTime, is_last: bool) -> Vec<Span> {
        let zero = nanos(began.duration_since(UNIX_EPOCH).unwrap_or_default());
        let mut spans = Vec::new();
        let updates = self.open.values_mut().filter_map(|step| step.update.as_mut());
        updates.for_each(|update| update.age = update.age.saturating_add(1));
        news.update_spans.iter().for_each(|it| self.update(it, &mut spans));
        news.updates.iter().for_each(|it| self.made(it));
        news.spans.iter().for_each(|it| spans.push(self.replica(it)));
        for saved in &news.saves {
            let attributes = vec![number("sync_replicas.bytes", saved.bytes)];
            let times = (saved.at.saturating_sub(saved.took), saved.at);
            // Before the first update there is the state that the first step begins with.
            let step = saved.step.saturating_sub(1).max(0);
            spans.push(self.child(step, "checkpoint", times, attributes));
        }
        spans.extend(self.close(is_last));
        for span in &mut spans {
            span.start_time_unix_nano = span.start_time_unix_nano.saturating_add(zero);
            span.end_time_unix_nano = span.end_time_unix_nano.saturating_add(zero);
        }
        spans
    }

    /// A server's part of an update.
    fn update(&mut self, update: &UpdateSpan, spans: &mut Vec<Span>) {
        let (step, times) = (update.step.saturating_sub(1), (update.start, update.end));
        if update.server == 0 {
            if self.latest.is_some_and(|latest| step <= latest) {
                // A restore has taken back what was made from here on.
                for (step, open) in self.open.split_off(&step) {
                    spans.extend(self.own(step, &open));
                }
                self.closed = self.closed.min(step);
            }
            self.latest = Some(step);
        }
        if let Some(open) = self.open(step) {
            open.update.get_or_insert_default();
            open.cover(times);
        }
        let attributes = vec![number("sync_replicas.server", update.server)];
        spans.push(self.child(step, "update", times, attributes));
    }

    fn made(&mut self, made: &UpdateMade) {
        let Some(open) = self.open(made.step.saturating_sub(1)) else { return };
        let update = open.update.get_or_insert_default();
        update.loss = made.loss;
        update.examples = Some(made.examples);
    }

    /// What a replica did.
    fn replica(&mut self, span: &record::Span) -> Span {
        let times = (span.start, span.end);
        if span.kind.is_batch()
            && let Some(open) = self.open(span.step)
        {
            match span.kind {
                SpanKind::Accepted => open.cover(times),
                // What was given up, or was too late, may last beyond the step.
                _ if open.update.is_some() => open.cover((times.0, times.0)),
                _ => open.cover(times),
            }
        }
        let name = match span.kind {
            SpanKind::Sent => "send",
            SpanKind::LookedUp => "lookup",
            kind if kind.is_batch() => "compute",
            _ => "wait",
        };
        self.child(span.step, name, times, of_span(span))
    }

    /// A step, unless it already has its own span.
    fn open(&mut self, step: i64) -> Option<&mut Open> {
        if step < self.closed {
            return None;
        }
        if self.open.len() > Record::MOST {
            self.open.pop_first();
        }
        Some(self.open.entry(step).or_default())
    }

    /// The spans of finished steps.
    fn close(&mut self, all: bool) -> Vec<Span> {
        let is_over =
            |open: &Open| open.update.as_ref().is_some_and(|update| update.age >= self.patience);
        // With those before it, whose updates the record may have dropped.
        let last = match all {
            true => self.open.keys().next_back().copied(),
            false => self.open.iter().rfind(|(_, open)| is_over(open)).map(|(step, _)| *step),
        };
        let Some(last) = last else { return Vec::new() };
        self.closed = last.saturating_add(1);
        let going_on = self.open.split_off(&self.closed);
        let over = std::mem::replace(&mut self.open, going_on);
        over.into_iter().filter_map(|(step, open)| self.own(step, &open)).collect()
    }

    /// The span that stands for a step.
    fn own(&mut self, step: i64, open: &Open) -> Option<Span> {
        let ids = StepIds::new(self.run, step);
        let mut attributes = Vec::new();
        if let Some(update) = &open.update {
            attributes.push(integer("sync_replicas.update", step.saturating_add(1)));
            let loss = update.loss.filter(|loss| loss.is_finite());
            attributes
                .extend(loss.map(|it| attribute("sync_replicas.loss", Value::DoubleValue(it))));
            attributes.extend(update.examples.map(|it| number("sync_replicas.examples", it)));
        }
        let own = self.child(step, "step", (open.start?, open.end), attributes);
        Some(Span { span_id: ids.span.to_vec(), parent_span_id: Vec::new(), ..own })
    }

    /// A span of a step; its times count from the beginning of training.
    fn child(
        &mut self,
        step: i64,
        name: &str,
        (start, end): Times,
        mut attributes: Vec<KeyValue>,
    ) -> Span {
        let StepIds { trace, span } = StepIds::new(self.run, step);
        attributes.insert(0, integer("sync_replicas.step", step));
        Span {
            trace_id: trace.to_vec(),
            span_id: self.ids.next().to_vec(),
            parent_span_id: span.to_vec(),
            flags: FLAGS,
            name: name.to_owned(),
            kind: span::SpanKind::Internal.into(),
            start_time_unix_nano: nanos(start),
            end_time_unix_nano: nanos(end.max(start)),
            attributes,
            ..Span::default()
        }
    }
}

impl Open {
    fn cover(&mut self, (start, end): Times) {
        self.start = Some(self.start.map_or(start, |earlier| earlier.min(start)));
        self.end = self.end.max(end);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
