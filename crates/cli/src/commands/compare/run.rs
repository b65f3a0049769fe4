//! One run among others: its results, in comparable numbers.
//!
//! A run may have been resumed: updates and seconds are of all its starts, and counts of batches of
//! the last one, as in its own report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};
use tabular::scores::{Base, Scores};

use crate::commands::report::{folder_of, summary_of};
use crate::error::Error;
use crate::run::history::{History, Life};
use crate::run::metrics::{Batch, Update};
use crate::run::summary::Summary;

/// In the line of a run, but not settings.
const ABOUT: [&str; 7] = ["kind", "version", "command", "host", "started", "run", "model"];

/// What is known of one run.
#[derive(Debug, Serialize)]
pub(super) struct ComparedRun {
    pub(super) name: String,
    pub(super) run_dir: String,
    pub(super) model: String,
    /// `ended`, `interrupted`, or `unfinished`: it still trains, failed, or was killed.
    pub(super) state: &'static str,
    /// Those that are not the same in all runs.
    pub(super) settings: Map<String, Value>,
    pub(super) updates: u64,
    pub(super) seconds: f64,
    pub(super) updates_per_second: Option<f64>,
    #[serde(flatten)]
    pub(super) scores: Scores,
    #[serde(flatten)]
    pub(super) base: Base,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) averages_test_accuracy: Option<f64>,
    pub(super) loss: Option<f64>,
    #[serde(flatten)]
    pub(super) parts: Parts,
    /// The median time that the slowest replica computed a batch, over the median of all replicas'.
    pub(super) slowest_replica: Option<f64>,
    pub(super) checkpoints: usize,
    /// How long one took on average.
    pub(super) checkpoint_seconds: Option<f64>,
    /// All updates that stand, with seconds since the first start.
    #[serde(skip)]
    pub(super) curve: Vec<Update>,
}

/// The fate of the batches begun, each as a part of all of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Parts {
    pub(super) accepted_part: Option<f64>,
    pub(super) stale_part: Option<f64>,
    pub(super) unused_part: Option<f64>,
    pub(super) superseded_part: Option<f64>,
}

impl ComparedRun {
    /// Reads the folder of a run, or its file of metrics.
    pub(super) fn read(path: &Path, name: String) -> Result<Self, Error> {
        let history = History::read(path)?;
        let summary = summary_of(folder_of(path), &history);
        let settings = history.lives.last().map(|life| life.run.clone()).unwrap_or_default();
        let settings = settings.into_iter().filter(|(key, _)| !ABOUT.contains(&key.as_str()));
        let lasted = summary.seconds;
        let (curve, seconds) = curve(&history.lives, history.result.as_ref().map(|_| lasted));
        let saves = history.lives.iter().map(|life| life.saves).sum();
        let save_seconds: f64 = history.lives.iter().map(|life| life.save_seconds).sum();
        let batches = history.lives.last().map_or(&[][..], |life| &life.batches);
        Ok(Self {
            name,
            run_dir: folder_of(path).display().to_string(),
            state: state(&summary),
            settings: settings.collect(),
            updates: summary.updates,
            seconds,
            updates_per_second: (seconds > 0.0).then(|| curve.len() as f64 / seconds),
            scores: summary.scores,
            base: summary.base,
            averages_test_accuracy: summary.averages_test_accuracy,
            loss: summary.loss,
            parts: Parts::of(&summary),
            slowest_replica: slowest(batches),
            checkpoints: saves,
            checkpoint_seconds: (saves > 0).then(|| save_seconds / saves as f64),
            model: summary.model,
            curve,
        })
    }
}

impl Parts {
    fn of(summary: &Summary) -> Self {
        let begun = summary.batches.saturating_add(summary.superseded);
        if begun == 0 {
            return Self::default();
        }
        let part = |count: u64| Some(count as f64 / begun as f64);
        Self {
            accepted_part: part(summary.accepted),
            stale_part: part(summary.stale.saturating_add(summary.duplicates)),
            unused_part: part(summary.unused),
            superseded_part: part(summary.superseded),
        }
    }
}

/// Leaves each run the settings in which it differs from another one, and returns which those are.
pub(super) fn keep_differing(runs: &mut [ComparedRun]) -> Vec<String> {
    let keys: BTreeSet<String> = runs.iter().flat_map(|run| run.settings.keys()).cloned().collect();
    // What is not set is as if it were not there.
    let is_set = |value: &&Value| !matches!(value, Value::Null | Value::Bool(false));
    let setting = |run: &ComparedRun, key: &String| run.settings.get(key).filter(is_set).cloned();
    let differs =
        |key: &String| runs.windows(2).any(|two| setting(&two[0], key) != setting(&two[1], key));
    let differing: Vec<String> = keys.into_iter().filter(differs).collect();
    for run in runs {
        run.settings.retain(|key, _| differing.contains(key));
    }
    differing
}

fn state(summary: &Summary) -> &'static str {
    match summary {
        Summary { unfinished: true, .. } => "unfinished",
        Summary { interrupted: true, .. } => "interrupted",
        _ => "ended",
    }
}

/// The updates of all starts, one after the other, and how long they took; the last start took
/// `lasted`, if that is known.
fn curve(lives: &[Life], lasted: Option<f64>) -> (Vec<Update>, f64) {
    let (mut curve, mut before) = (Vec::new(), 0.0);
    for (number, life) in lives.iter().enumerate() {
        let moved = |update: &Update| Update { seconds: before + update.seconds, ..update.clone() };
        curve.extend(life.updates.iter().map(moved));
        let known = lasted.filter(|_| number + 1 == lives.len());
        before += known.or(life.updates.last().map(|it| it.seconds)).unwrap_or_default();
    }
    (curve, before)
}

/// How much slower the slowest replica is than the median one. A batch that was given up would have
/// taken longer.
fn slowest(batches: &[Batch]) -> Option<f64> {
    let mut times: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for batch in batches.iter().filter(|batch| batch.outcome.is_batch()) {
        times.entry(batch.replica).or_default().push(batch.computed - batch.start);
    }
    let mut medians: Vec<f64> = times.into_values().filter_map(median).collect();
    let slowest = medians.iter().copied().fold(0.0, f64::max);
    medians.retain(|it| *it > 0.0);
    Some(slowest / median(medians)?)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}
