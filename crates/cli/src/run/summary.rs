//! A run's result: one JSON object, and a table to read.
//!
//! Holds numbers only; nothing is measured here.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sync_replicas::driver::printable;
use sync_replicas::record::ReplicaReport;
use tabular::scores::{Base, Scores};

use crate::units::time;

/// The result of a run, as `--json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// The optimizer's name.
    pub optimizer: String,
    /// How good the model is on unseen rows; nothing for a run that did not reach its end.
    #[serde(flatten)]
    pub scores: Scores,
    /// The same for the base rate's predictions.
    #[serde(flatten)]
    pub base: Base,
    /// The accuracy of the moving averages, when they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averages_test_accuracy: Option<f64>,
    /// The mean loss of the last update's gradients.
    pub loss: Option<f64>,
    /// The global step at the end (P-8).
    pub updates: u64,
    /// Updates made by this run; fewer than `updates` when it was resumed.
    pub updates_this_run: u64,
    /// Batches pushed, accepted or not (P-8).
    pub batches: u64,
    /// Examples in accepted batches (P-8).
    pub examples: u64,
    /// Pushed batches that became part of an update.
    pub accepted: u64,
    /// Pushed batches that were dropped as stale (P-7).
    pub stale: u64,
    /// Pushed batches whose share another replica was first with.
    pub duplicates: u64,
    /// Pushed batches of a step that was never made.
    #[serde(default)]
    pub unused: u64,
    /// Batches given up before the push because their step was over (P-13).
    pub superseded: u64,
    /// Batches left out because their gradients are infinite or NaN (P-25).
    pub non_finite: u64,
    /// How long training took.
    pub seconds: f64,
    /// The life of the shared state (P-9).
    pub generation: u64,
    /// Whether it ended early.
    pub interrupted: bool,
    /// Why it ended before its last update, if `--stop-when` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// The checkpoint that it went on from, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<String>,
    /// Where its files are.
    pub run_dir: String,
    /// Its newest checkpoint.
    pub checkpoint: String,
    /// The update with the best test, with `--keep-best`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_step: Option<i64>,
    /// Its test's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_value: Option<f64>,
    /// Its checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_checkpoint: Option<String>,
    /// The hash of names, shapes and values, in order.
    pub variables_sha256: String,
    /// How many of the replicas failed (P-5).
    pub failed_replicas: usize,
    /// How many batches were left out, since several replicas failed at them (P-5).
    pub failed_batches: u64,
    /// Each replica's part.
    pub replicas: Vec<ReplicaSummary>,
    /// Whether the run has no result.
    #[serde(skip)]
    pub unfinished: bool,
    /// The update of the accuracy, if it is not the last.
    #[serde(skip)]
    pub tested_at: Option<i64>,
}

/// One replica's part in a run (P-7).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplicaSummary {
    /// Which one.
    pub replica: u64,
    /// Batches pushed, accepted or not.
    pub batches: u64,
    /// Batches that became part of an update.
    pub accepted: u64,
    /// Batches dropped as stale.
    pub stale: u64,
    /// Batches whose share another was first with.
    pub duplicates: u64,
    /// Batches of a step that was never made.
    #[serde(default)]
    pub unused: u64,
    /// Batches given up before the push because their step was over.
    pub superseded: u64,
    /// Batches left out because their gradients are infinite or NaN.
    pub non_finite: u64,
    /// Batches left out when it was the last of several to fail at them.
    pub failed_batches: u64,
    /// Seconds spent computing.
    pub compute_seconds: f64,
    /// Seconds spent waiting for tokens.
    pub wait_seconds: f64,
    /// By how many milliseconds it was slowed down, for each batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub straggler_ms: Option<u64>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl ReplicaSummary {
    /// One replica's part, of the trainer's report.
    #[must_use]
    pub fn new(report: &ReplicaReport, delay: Option<Duration>) -> Self {
        let tally = report.tally;
        Self {
            replica: report.replica.get(),
            batches: tally.pushed().saturating_add(report.unused),
            accepted: tally.accepted,
            stale: tally.stale,
            duplicates: tally.duplicates,
            unused: report.unused,
            superseded: tally.superseded,
            non_finite: tally.non_finite,
            failed_batches: tally.failed_batches,
            compute_seconds: report.computed.as_secs_f64(),
            wait_seconds: report.waited.as_secs_f64(),
            straggler_ms: delay.map(|delay| delay.as_millis() as u64),
            failure: report.outcome.failure().map(str::to_owned),
        }
    }
}

/// The table per replica and the result, for a person.
#[must_use]
pub fn table(summary: &Summary) -> String {
    let mut text = String::new();
    let mut line = |cells: [&str; 7], note: &str| {
        let [replica, batches, accepted, stale, superseded, computed, waited] = cells;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{replica:>7}{batches:>9}{accepted:>10}{stale:>7}{superseded:>12}\
             {computed:>9}{waited:>9}{note}"
        );
    };
    line(["replica", "batches", "accepted", "stale", "superseded", "computed", "waited"], "");
    for r in &summary.replicas {
        let slow = r.straggler_ms.map(|ms| format!("  slow by {ms} ms"));
        let failed = r.failure.as_ref().map(|reason| format!("  FAILED: {reason}"));
        let left_out = (r.non_finite > 0).then(|| format!("  {} not finite", r.non_finite));
        let note = slow.into_iter().chain(left_out).chain(failed).collect::<String>();
        let (computed, waited) = (time(r.compute_seconds), time(r.wait_seconds));
        let dropped = (r.stale + r.duplicates).to_string();
        let cells = [
            &r.replica.to_string(),
            &r.batches.to_string(),
            &r.accepted.to_string(),
            &dropped,
            &r.superseded.to_string(),
            &computed,
            &waited,
        ];
        line(cells.map(String::as_str), &note);
    }
    text
}

/// The result in a sentence.
#[must_use]
pub fn verdict(summary: &Summary) -> String {
    let (scores, base) = (&summary.scores, &summary.base);
    let beside = |value: f64, base: Option<f64>, words: fn(f64) -> String| {
        let base = base.map(|base| format!(" (base rate {})", words(base)));
        format!("{}{}", words(value), base.unwrap_or_default())
    };
    let measures = [
        scores.test_auc.map(|it| format!("AUC {it:.4}")),
        scores
            .test_accuracy
            .map(|it| format!("accuracy {}", beside(it, base.base_accuracy, percent))),
        scores
            .test_log_loss
            .map(|it| format!("log loss {}", beside(it, base.base_log_loss, number))),
        scores.test_rmse.map(|it| {
            let base = base.base_rmse.map(|base| format!(" (of the mean alone {})", number(base)));
            format!("RMSE {}{}", number(it), base.unwrap_or_default())
        }),
    ];
    let measures: Vec<String> = measures.into_iter().flatten().collect();
    let mut text = match measures.is_empty() {
        true => "test accuracy unknown".to_owned(),
        false => format!("test {}", measures.join(", ")),
    };
    if let Some(averages) = summary.averages_test_accuracy {
        let _ = write!(text, " ({} with the moving averages)", percent(averages));
    }
    let _ = write!(text, " after {} updates", summary.updates);
    if summary.updates_this_run < summary.updates {
        let _ = write!(text, ", {} of them now", summary.updates_this_run);
    }
    text
}

/// The run's time, in a sentence or two.
#[must_use]
pub fn story(summary: &Summary) -> String {
    let (updates, seconds) = (summary.updates_this_run, summary.seconds);
    let mut text = format!("{updates} updates took {}.", time(seconds));
    let slowest = summary.replicas.iter().filter_map(|replica| replica.straggler_ms).max();
    let held = slowest.unwrap_or(0) as f64 * 1e-3 * updates as f64;
    // A little above is no story.
    if held > 1.5 * seconds {
        let held = time(held);
        let _ = write!(text, " Had every update waited for the slow replica: at least {held}.");
    }
    if summary.failed_replicas > 0 {
        let (failed, all) = (summary.failed_replicas, summary.replicas.len());
        let _ = write!(text, " {failed} of {all} replicas FAILED.");
    }
    match summary.failed_batches {
        0 => {}
        1 => text.push_str(" 1 batch at which they failed was left out."),
        many => drop(write!(text, " {many} batches at which they failed were left out.")),
    }
    if let (Some(step), Some(value), Some(path)) =
        (summary.best_step, summary.best_value, &summary.best_checkpoint)
    {
        let path = printable(path);
        let _ = write!(text, " The best, {value:.4} at update {step}, is kept in {path}.");
    }
    if let Some(reason) = &summary.stopped_by {
        let _ = write!(text, " Training ended by {reason}.");
    }
    if summary.unfinished {
        text.push_str(" It has told no result: it still trains, failed, or was killed.");
    }
    if summary.interrupted {
        text.push_str(" The run was interrupted before its end.");
    }
    text
}

/// The most telling measure of a test: its name, and its value.
#[must_use]
pub fn headline(scores: &Scores) -> Option<(&'static str, String)> {
    headline_number(scores).map(|(name, value)| match name {
        ACCURACY => (name, percent(value)),
        name => (name, number(value)),
    })
}

const ACCURACY: &str = "accuracy";

/// The same as a number.
pub(crate) fn headline_number(scores: &Scores) -> Option<(&'static str, f64)> {
    let auc = scores.test_auc.map(|auc| ("AUC", auc));
    let accuracy = || scores.test_accuracy.map(|part| (ACCURACY, part));
    auc.or_else(accuracy).or_else(|| scores.test_rmse.map(|rmse| ("RMSE", rmse)))
}

/// `0.4855`.
fn number(value: f64) -> String {
    format!("{value:.4}")
}

/// `97.22 %`.
#[must_use]
pub fn percent(part: f64) -> String {
    format!("{:.2} %", 100.0 * part)
}
