//! `metrics.jsonl`: a line for the run, one for each update, one for each batch, one for the end.
//!
//! Lines of updates are written while training runs, so that a run that was killed has them too.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sync_replicas::checkpoint::RunId;
use sync_replicas::{Span, SpanKind};

use crate::config::Config;

/// The run: what was started where and when, and all of its settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// The program's version.
    pub version: &'static str,
    /// The words that it was started with.
    pub command: Vec<String>,
    /// The machine.
    pub host: String,
    /// When this process began, in universal time.
    pub started: String,
    /// Which run it is.
    pub run: RunId,
    /// Every setting with its own type, and N also where it is no setting.
    #[serde(flatten)]
    pub settings: Config,
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
///
/// Whatever becomes of the process, the file has whole lines, and all but those of the last second.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    lines: Vec<u8>,
    written: Instant,
    last_step: Option<i64>,
}

/// Lines wait no longer than this for the file.
const SOON: Duration = Duration::from_secs(1);

/// And no more than so many bytes of them.
const MOST_BYTES: usize = 1 << 16;

#[derive(Serialize)]
struct Line<'a, T> {
    kind: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

/// Updates that a restore has taken back: those after `step`, of the lines before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The update that the run goes on from.
    pub step: i64,
}

impl Metrics {
    /// Goes on with a file, or begins it. Half a line at its end, of a process that was killed by a
    /// version before, is taken away.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub fn append(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let text = std::fs::read(path)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        let last_step = last_step(&text[..whole]);
        Ok(Self { file, lines: Vec::new(), written: Instant::now(), last_step })
    }

    /// Writes one object with `"kind": kind`.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub fn write(&mut self, kind: &'static str, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.lines, &Line { kind, value })?;
        self.lines.push(b'\n');
        if self.lines.len() >= MOST_BYTES || self.written.elapsed() >= SOON {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes the line of an update; where a restore took earlier ones back, that line first, and
    /// answers the update that the run went back to.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub fn write_update(&mut self, update: &Update) -> io::Result<Option<i64>> {
        let back = self.last_step.is_some_and(|last| update.step <= last);
        let back = back.then_some(update.step - 1);
        if let Some(step) = back {
            self.write("restore", &Restore { step })?;
        }
        self.last_step = Some(update.step);
        self.write("update", update)?;
        Ok(back)
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.written = Instant::now();
        self.file.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

/// Whether the last line of a file is the result of a run; no file has none.
pub(crate) fn ends_with_result(path: &Path) -> bool {
    /// More than any result takes.
    const TAIL: u64 = 1 << 20;
    let tail = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        Ok::<_, io::Error>(tail)
    };
    let tail = tail().unwrap_or_default();
    let Some(whole) = tail.strip_suffix(b"\n") else { return false };
    let last = whole.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    last.starts_with(br#"{"kind":"result""#)
}

/// The step of the last line of kind update.
fn last_step(text: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Any {
        kind: String,
        step: Option<i64>,
    }
    let lines = text.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.filter_map(|line| serde_json::from_slice::<Any>(line).ok());
    lines.filter(|line| line.kind == "update").find_map(|line| line.step)
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

    fn update(step: i64) -> Update {
        Update {
            step,
            loss: Some(f64::NAN),
            seconds: 0.5,
            examples: 128,
            test_accuracy: None,
            averages_test_accuracy: None,
        }
    }

    fn text(step: i64) -> String {
        format!(
            "{{\"kind\":\"update\",\"step\":{step},\"loss\":null,\"seconds\":0.5,\
             \"examples\":128}}\n"
        )
    }

    #[test]
    fn lines_are_whole_json_objects_with_a_kind() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("metrics.jsonl");
        // What a process of a version before left when it was killed.
        std::fs::write(&path, text(2) + "{\"kind\":\"upd").expect("is writable");
        let mut metrics = Metrics::append(&path).expect("is writable");
        assert_eq!(metrics.write_update(&update(3)).expect("is writable"), None);
        metrics.flush().expect("is writable");
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), text(2) + &text(3));
    }

    // What a restore takes back stays in the file, and is told apart.
    #[test]
    fn updates_that_are_made_again_follow_a_line() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = Metrics::append(&path).expect("is writable");
        let went_back: Vec<_> = [1, 2, 3, 2, 3]
            .map(|step| metrics.write_update(&update(step)).expect("is writable"))
            .into();
        assert_eq!(went_back, [None, None, None, Some(1), None]);
        drop(metrics.flush());
        // By another process as well.
        let mut metrics = Metrics::append(&path).expect("is writable");
        assert_eq!(metrics.write_update(&update(3)).expect("is writable"), Some(2));
        assert_eq!(metrics.write_update(&update(4)).expect("is writable"), None);
    }
}
