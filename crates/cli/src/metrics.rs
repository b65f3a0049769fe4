//! `metrics.jsonl`: a line for the run, one for each update, one for each batch, one for the end.
//!
//! Lines of updates are written while training runs, so that a run that was killed has them too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use sync_replicas::{Span, SpanKind};

use crate::settings::Settings;

/// The run, as it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// A.
    pub replicas_to_aggregate: usize,
    /// N.
    pub total_num_replicas: usize,
    /// All settings, in words.
    #[serde(flatten)]
    pub settings: BTreeMap<&'static str, String>,
}

impl Run {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            replicas_to_aggregate: settings.replicas_to_aggregate,
            total_num_replicas: settings.total_num_replicas,
            settings: settings.describe().into_iter().collect(),
        }
    }
}

/// One update.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Update {
    /// The global step that it made.
    pub step: i64,
    /// The mean loss of its gradients, before the update.
    pub loss: Option<f64>,
    /// Since training began.
    pub seconds: f64,
    /// Examples in its gradients.
    pub examples: u64,
    /// Of the variables after it, when they were tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
    /// Of the moving averages after it, when they were tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub averages_test_accuracy: Option<f64>,
}

/// One batch of one replica; times are seconds since training began.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Batch {
    /// Whose.
    pub replica: u64,
    /// The step whose variables it was computed with.
    pub step: i64,
    /// When computing began.
    pub start: f64,
    /// When it ended.
    pub computed: f64,
    /// When the gradient was pushed; not at all when it was given up.
    pub pushed: Option<f64>,
    /// What came of it.
    pub outcome: SpanKind,
    /// How long the replica had waited for its token before.
    pub wait: f64,
}

/// The file, open for lines.
#[derive(Debug)]
pub struct Metrics {
    file: BufWriter<File>,
}

#[derive(Serialize)]
struct Line<'a, T> {
    kind: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

impl Metrics {
    /// Goes on with a file, or begins it.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub fn append(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self { file: BufWriter::new(file) })
    }

    /// Writes one object with `"kind": kind`.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub fn write(&mut self, kind: &'static str, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, &Line { kind, value })?;
        self.file.write_all(b"\n")
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The batches in a timeline, by replica and then by time, each with the wait before it.
#[must_use]
pub fn batches(timeline: &[Span]) -> Vec<Batch> {
    let mut spans: Vec<&Span> = timeline.iter().collect();
    spans.sort_by_key(|span| (span.replica, span.start));
    let mut batches = Vec::new();
    let mut wait = 0.0;
    let mut replica = None;
    for span in spans {
        if replica.replace(span.replica) != Some(span.replica) {
            wait = 0.0;
        }
        if span.kind == SpanKind::Waited {
            wait += span.end.saturating_sub(span.start).as_secs_f64();
            continue;
        }
        let computed = span.end.as_secs_f64();
        batches.push(Batch {
            replica: span.replica.get(),
            step: span.step,
            start: span.start.as_secs_f64(),
            computed,
            pushed: (span.kind != SpanKind::Superseded).then_some(computed),
            outcome: span.kind,
            wait: std::mem::take(&mut wait),
        });
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sync_replicas::ReplicaId;

    use super::*;

    #[test]
    fn each_batch_has_the_wait_before_it() {
        let span = |replica, step, kind, start, end| Span {
            replica: ReplicaId::new(replica),
            step,
            kind,
            start: Duration::from_secs(start),
            end: Duration::from_secs(end),
        };
        let timeline = [
            span(1, 0, SpanKind::Superseded, 0, 9),
            span(0, 0, SpanKind::Accepted, 0, 2),
            span(0, 1, SpanKind::Waited, 2, 5),
            span(0, 1, SpanKind::Stale, 5, 6),
        ];
        let got: Vec<_> = batches(&timeline)
            .into_iter()
            .map(|b| (b.replica, b.step, b.start, b.pushed, b.wait))
            .collect();
        let expected =
            [(0, 0, 0.0, Some(2.0), 0.0), (0, 1, 5.0, Some(6.0), 3.0), (1, 0, 0.0, None, 0.0)];
        assert_eq!(got, expected);
    }

    #[test]
    fn lines_are_json_objects_with_a_kind() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = Metrics::append(&path).expect("is writable");
        let update = Update {
            step: 3,
            loss: Some(f64::NAN),
            seconds: 0.5,
            examples: 128,
            test_accuracy: None,
            averages_test_accuracy: None,
        };
        metrics.write("update", &update).expect("is writable");
        metrics.flush().expect("is writable");
        let line = std::fs::read_to_string(&path).expect("is there");
        let expected = r#"{"kind":"update","step":3,"loss":null,"seconds":0.5,"examples":128}"#;
        assert_eq!(line, format!("{expected}\n"));
    }
}
