//! `metrics.jsonl`: a line for the run, one for each update, one for each batch, one for the end.
//!
//! Written while training runs, so that a killed run has all but its last second.

mod batches;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sync_replicas::checkpoint::RunId;
use sync_replicas::driver::append_private_file;
use sync_replicas::record::{self, UpdateMade};
use tabular::scores::Scores;

pub(crate) use self::batches::{Batch, Batches};

use crate::args::Metric;
use crate::config::Config;
use crate::error::Error;

/// The run: what was started where and when, and all of its settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Run {
    /// The program's version.
    pub(crate) version: &'static str,
    /// The words that started it.
    pub(crate) command: Vec<String>,
    /// The machine.
    pub(crate) host: String,
    /// When this process began, in universal time.
    pub(crate) started: String,
    /// Which run it is.
    pub(crate) run: RunId,
    /// Every setting with its own type, and N even if it is not a setting.
    #[serde(flatten)]
    pub(crate) settings: Config,
}

/// One update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Update {
    /// The global step that it made.
    pub(crate) step: i64,
    /// The mean loss of its gradients, before the update.
    pub(crate) loss: Option<f64>,
    /// Since training began, or went on.
    pub(crate) seconds: f64,
    /// Examples in its gradients.
    #[serde(default)]
    pub(crate) examples: u64,
    /// Of the variables after it, when they were tested.
    #[serde(flatten)]
    pub(crate) scores: Scores,
    /// Of the moving averages after it, when they were tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) averages_test_accuracy: Option<f64>,
}

impl From<&UpdateMade> for Update {
    fn from(made: &UpdateMade) -> Self {
        Self {
            step: made.step,
            loss: made.loss,
            seconds: made.at.as_secs_f64(),
            examples: made.examples,
            scores: Scores::default(),
            averages_test_accuracy: None,
        }
    }
}

/// A checkpoint that was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Saved {
    /// Its update.
    pub(crate) step: i64,
    /// When it was complete, since training began.
    pub(crate) at: f64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// How large it is.
    pub(crate) bytes: u64,
}

impl From<&record::Saved> for Saved {
    fn from(saved: &record::Saved) -> Self {
        let (at, seconds) = (saved.at.as_secs_f64(), saved.took.as_secs_f64());
        Self { step: saved.step, at, seconds, bytes: saved.bytes }
    }
}

/// The variables of one update, tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evaluation {
    /// The update.
    pub(crate) step: i64,
    /// The life of the shared state that it belongs to (P-9).
    pub(crate) generation: u64,
    /// How good the model is.
    #[serde(flatten)]
    pub(crate) scores: Scores,
    /// The accuracy of the moving averages, when they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) averages_test_accuracy: Option<f64>,
}

impl Evaluation {
    /// A metric of this test, or of its update, whose loss is given; `None` if it was not measured.
    pub(crate) fn value(&self, metric: Metric, loss: Option<f64>) -> Option<f64> {
        match metric {
            Metric::TestAccuracy => self.scores.test_accuracy,
            Metric::AveragesTestAccuracy => self.averages_test_accuracy,
            Metric::TestAuc => self.scores.test_auc,
            Metric::TestLogLoss => self.scores.test_log_loss,
            Metric::TestRmse => self.scores.test_rmse,
            Metric::Loss => loss,
        }
    }
}

/// The file, open for lines.
///
/// Whatever becomes of the process, the file has whole lines, and all but those of the last second.
#[derive(Debug)]
pub(crate) struct Metrics {
    file: File,
    lines: Vec<u8>,
    written: Instant,
    last_step: Option<i64>,
}

/// Lines wait no longer than this for the file.
const SOON: Duration = Duration::from_secs(1);

/// And no more than so many bytes of them,
const MOST_BYTES: usize = 1 << 16;

/// unless the file takes none: then they wait, up to this many.
const MOST_KEPT: usize = 1 << 24;

#[derive(Serialize)]
struct Line<'a, T> {
    kind: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

/// Updates that a restore has taken back: those after `step`, of the lines before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restore {
    /// The update that the run goes on from.
    pub(crate) step: i64,
}

impl Metrics {
    /// Appends to a file, or creates it. Removes half a line at its end, left by a killed process
    /// of an earlier version.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub(crate) fn append(path: &Path) -> io::Result<Self> {
        let file = append_private_file(path)?;
        let text = std::fs::read(path)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        let last_step = last_step(&text[..whole]);
        Ok(Self { file, lines: Vec::new(), written: Instant::now(), last_step })
    }

    /// Adds one object with `"kind": kind`, which the next flush writes.
    pub(crate) fn add(&mut self, kind: &'static str, value: &impl Serialize) {
        // What is plain data can be written to memory.
        if serde_json::to_writer(&mut self.lines, &Line { kind, value }).is_ok() {
            self.lines.push(b'\n');
        }
        if self.lines.len() >= MOST_KEPT {
            self.forget();
        }
    }

    /// Adds the line of an update; if a restore took earlier ones back, that line first.
    pub(crate) fn add_update(&mut self, update: &Update) {
        if self.last_step.is_some_and(|last| update.step <= last) {
            self.add("restore", &Restore { step: update.step - 1 });
        }
        self.last_step = Some(update.step);
        self.add("update", update);
    }

    /// Hands everything to the system, if it is time.
    ///
    /// # Errors
    /// As [`Metrics::flush`].
    pub(crate) fn flush_if_due(&mut self) -> io::Result<()> {
        let due = self.lines.len() >= MOST_BYTES || self.written.elapsed() >= SOON;
        if due { self.flush() } else { Ok(()) }
    }

    /// Lines that the file does not take would fill memory: all are dropped but the one that may be
    /// half written.
    fn forget(&mut self) {
        let first = self.lines.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.lines.truncate(first);
        tracing::warn!("lines are missing in the metrics: they could not be written for too long");
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// Whatever keeps it from being written; unwritten lines are tried again the next time.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.written = Instant::now();
        let (mut done, mut result) = (0, Ok(()));
        while done < self.lines.len() && result.is_ok() {
            match self.file.write(&self.lines[done..]) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        self.lines.drain(..done);
        result
    }
}

/// The metrics of a run cannot be written.
pub(crate) fn unwritten(error: io::Error) -> Error {
    Error::failed(format!("writing metrics.jsonl failed: {error}"))
}

/// Whether the last line of a file is the result of a run; a missing file has none.
pub(crate) fn ends_with_result(path: &Path) -> bool {
    last_line(path).is_some_and(|line| line.starts_with(br#"{"kind":"result""#))
}

/// The test in the last line of a file, if it has one.
pub(crate) fn last_evaluation(path: &Path) -> Option<Evaluation> {
    serde_json::from_slice(&last_line(path)?).ok()
}

/// The last line of a file, if it is whole.
fn last_line(path: &Path) -> Option<Vec<u8>> {
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
    let tail = tail().ok()?;
    let whole = tail.strip_suffix(b"\n")?;
    whole.rsplit(|byte| *byte == b'\n').next().map(<[u8]>::to_vec)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn update(step: i64) -> Update {
        Update {
            step,
            loss: Some(f64::NAN),
            seconds: 0.5,
            examples: 128,
            scores: Scores::default(),
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
        metrics.add_update(&update(3));
        metrics.flush().expect("is writable");
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), text(2) + &text(3));
    }

    // What a restore takes back stays in the file, and is told apart.
    #[test]
    fn updates_that_are_made_again_follow_a_line() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = Metrics::append(&path).expect("is writable");
        for step in [1, 2, 3, 2, 3] {
            metrics.add_update(&update(step));
        }
        metrics.flush().expect("is writable");
        // By another process, too.
        let mut metrics = Metrics::append(&path).expect("is writable");
        for step in [3, 4] {
            metrics.add_update(&update(step));
        }
        metrics.flush().expect("is writable");
        let back = |step: i64| format!("{{\"kind\":\"restore\",\"step\":{step}}}\n");
        let all = [text(1), text(2), text(3), back(1), text(2), text(3), back(2), text(3), text(4)];
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), all.concat());
    }

    // A full disk takes no line away: what it did not take is written once there is room.
    #[cfg(target_os = "linux")]
    #[test]
    fn lines_wait_for_a_file_that_takes_none() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = Metrics::append(&path).expect("is writable");
        let full = File::options().write(true).open("/dev/full").expect("is there");
        let room = std::mem::replace(&mut metrics.file, full);
        for step in [1, 2] {
            metrics.add_update(&update(step));
            assert!(metrics.flush().is_err());
        }
        metrics.file = room;
        metrics.flush().expect("is writable");
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), text(1) + &text(2));
        // But not for ever: then whole lines go.
        let mut kept = 0;
        for step in 3.. {
            metrics.add_update(&update(step));
            if metrics.lines.len() < kept {
                break;
            }
            kept = metrics.lines.len();
        }
        assert_eq!(metrics.lines, text(3).into_bytes());
        metrics.flush().expect("is writable");
        let lines = std::fs::read_to_string(&path).expect("is there");
        assert!(lines.lines().all(|line| line.starts_with("{\"kind\":\"update\"")), "{lines}");
    }
}
