//! A run's history, read back from its files: for its page, and for plans.
//!
//! A file may be that of a run that was killed, resumed, or taken back to a checkpoint. Updates
//! taken back are dropped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use sync_replicas::ReplicaId;
use sync_replicas::record::{News, Span, SpanKind};

use crate::error::Error;
use crate::run::folder::files::{METRICS, TESTS};
use crate::run::metrics::{Batch, Evaluation, Update};
use crate::run::summary::Summary;

/// A run, from its first start to its end.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Each start of it; each counts its seconds anew.
    pub(crate) lives: Vec<Life>,
    /// The updates that it was taken back to.
    pub(crate) restores: Vec<i64>,
    /// The result of the last start, if known.
    pub(crate) result: Option<Summary>,
    /// The last reported result, of whichever start.
    pub(crate) told: Option<Summary>,
}

/// What happened between one start and the next.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// The line of the run.
    pub(crate) run: serde_json::Map<String, serde_json::Value>,
    pub(crate) updates: Vec<Update>,
    pub(crate) batches: Vec<Batch>,
    /// Checkpoints that were written.
    pub(crate) saves: usize,
    /// How long they took together.
    pub(crate) save_seconds: f64,
    /// Who did what when, in its latest part without gaps.
    pub(crate) spans: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Run(serde_json::Map<String, serde_json::Value>),
    Update(Update),
    Batch(Batch),
    Restore {
        step: i64,
    },
    Saved {
        #[serde(default)]
        seconds: f64,
    },
    #[serde(rename = "save_failed")]
    SaveFailed {},
    Failure {},
    Evaluation(Evaluation),
    Result(Box<serde_json::value::Value>),
}

impl History {
    /// Reads the files of a run folder, or one file of that kind.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut history = Self::default();
        if !path.is_dir() {
            history.read_file(path)?;
            return Ok(history);
        }
        history.read_file(&path.join(METRICS))?;
        history.read_tests(path)?;
        Ok(history)
    }

    /// Reads the files of a run folder, and continues with what this process knows of its latest
    /// part: another process may not have written all of it, or elsewhere.
    pub(crate) fn with_latest(path: &Path, latest: &News) -> Result<Self, Error> {
        let mut history = Self::default();
        let metrics = path.join(METRICS);
        if metrics.exists() {
            history.read_file(&metrics)?;
        }
        let known = history.updates().last().map(|update| update.step);
        let life = history.life();
        let new = latest.updates.iter().filter(|update| known.is_none_or(|it| update.step > it));
        life.updates.extend(new.map(Update::from));
        life.spans = spans(&life.batches, &latest.spans);
        history.read_tests(path)?;
        Ok(history)
    }

    fn read_tests(&mut self, path: &Path) -> Result<(), Error> {
        for tests in TESTS.map(|name| path.join(name)) {
            if tests.exists() {
                self.read_file(&tests)?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Error> {
        let text = fs::read_to_string(path).map_err(|error| {
            let path = path.display();
            Error::usage(format!(
                "{path} cannot be read: {error}; give the run folder that `train`, `launch` or \
                 `node` wrote"
            ))
        })?;
        // What has no end was cut off with its process.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (number, line) in whole.lines().enumerate() {
            let bad = |problem: String| {
                let (path, line) = (path.display(), number + 1);
                Error::usage(format!(
                    "{path}, line {line}: expected a JSON object of kind run, update, restore, \
                     batch, evaluation, saved, save_failed, failure or result; {problem}"
                ))
            };
            let line = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
            self.take(line).map_err(bad)?;
        }
        Ok(())
    }

    fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Run(run) => {
                self.result = None;
                self.lives.push(Life { run, ..Life::default() });
            }
            Line::Update(update) => self.life().updates.push(update),
            Line::Batch(batch) => {
                let (from, to) = (batch.start, batch.computed);
                if !(from >= 0.0 && to >= from && to <= 1e9) {
                    return Err(format!("a batch cannot last from {from} to {to} seconds"));
                }
                self.life().batches.push(batch);
            }
            Line::Restore { step } => {
                for life in &mut self.lives {
                    life.updates.retain(|update| update.step <= step);
                    life.batches.retain(|batch| batch.step < step);
                }
                self.restores.push(step);
            }
            Line::Saved { seconds } => {
                let life = self.life();
                life.saves += 1;
                life.save_seconds += seconds;
            }
            Line::SaveFailed {} | Line::Failure {} => {}
            Line::Evaluation(test) => {
                let updates = self.lives.iter_mut().flat_map(|life| &mut life.updates);
                for update in updates.filter(|update| update.step == test.step) {
                    update.scores = test.scores;
                    update.averages_test_accuracy = test.averages_test_accuracy;
                }
            }
            // One of a version before has other keys, and is not needed to read the rest.
            Line::Result(result) => {
                self.result = serde_json::from_value(*result).ok();
                self.told.clone_from(&self.result);
            }
        }
        Ok(())
    }

    /// The life that a line belongs to; a file of an earlier version may begin without one.
    fn life(&mut self) -> &mut Life {
        if self.lives.is_empty() {
            self.lives.push(Life::default());
        }
        let last = self.lives.len() - 1;
        &mut self.lives[last]
    }

    /// All updates that stand.
    pub(crate) fn updates(&self) -> impl Iterator<Item = &Update> {
        self.lives.iter().flat_map(|life| &life.updates)
    }
}

/// The spans that batches tell of, up to those known otherwise.
pub(crate) fn spans(batches: &[Batch], latest: &[Span]) -> Vec<Span> {
    let mut from: BTreeMap<u64, Duration> = BTreeMap::new();
    for span in latest {
        let first = from.entry(span.replica.get()).or_insert(span.start);
        *first = span.start.min(*first);
    }
    let mut spans = Vec::new();
    for batch in batches {
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let (start, computed) = (time(batch.start), time(batch.computed));
        if from.get(&batch.replica).is_some_and(|first| start >= *first) {
            continue;
        }
        let span = |kind, start, end| {
            let replica = ReplicaId::new(batch.replica);
            let span = Span::new(replica, batch.step, kind, (start, end));
            Some(Span { batch: batch.number, ..span }).filter(|_| start < end)
        };
        spans.extend(span(SpanKind::Waited, time(batch.start - batch.wait), start));
        spans.extend(span(batch.outcome, start, computed));
        let lookup = batch.lookup.map(|seconds| start + time(seconds));
        spans.extend(lookup.and_then(|end| span(SpanKind::LookedUp, start, end)));
        spans.extend(span(SpanKind::Sent, computed, batch.pushed.map_or(computed, time)));
    }
    spans.extend(latest.iter().cloned());
    spans.sort_by_key(|span| (span.start, span.replica));
    spans
}
