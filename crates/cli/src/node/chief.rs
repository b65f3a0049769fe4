//! The chief's own work: it shows how far training is, and writes down what it came to.
//!
//! Training does not need it. Invariant: a chief that comes back after the end still has the
//! result, from the last checkpoint.

use std::sync::{Arc, Mutex};

use cluster::ClusterReport;
use sync_replicas::checkpoint::{self, TrainingState};
use sync_replicas::{Totals, Variables};

use super::error::NodeError;
use super::process::Process;
use crate::args::cli_name;
use crate::interrupt::Interrupt;
use crate::metrics::{Metrics, Run, Update};
use crate::models::accuracy;
use crate::report::{self, Page};
use crate::run_folder::RunFolder;
use crate::settings::Settings;
use crate::summary::{ReplicaSummary, Summary};
use crate::train::{TrainError, hooks, watch};
use crate::watch::{Updates, lock};

pub(super) fn run(process: &Process) -> Result<Summary, NodeError> {
    let settings = &process.settings;
    let folder = process.folder()?;
    let metrics = open_metrics(settings, &folder).map_err(TrainError::from)?;
    let updates = Updates::default();
    if let Some(state) = checkpoint_of(settings.updates, &folder) {
        let found = Found::of_checkpoint(state);
        return finish(settings, &folder, &mut lock(&metrics), &updates, found);
    }
    let watch = watch(settings, &Interrupt::new(), (&metrics, &updates), 0);
    let ended = process.fit(hooks(settings, Some(watch), Some(&folder)));
    lock(&metrics).flush().map_err(TrainError::from)?;
    // The end is told once the last checkpoint is written; it may have come at any step.
    let (last, found) = match ended {
        Ok(report) if report.left => return Err(NodeError::ChiefLeft),
        Ok(report) => (report.global_step.get().unsigned_abs(), Found::of_report(report)),
        Err(error) => (settings.updates, Err(error)),
    };
    let mut found = match found {
        Ok(found) => found,
        // The servers may have ended before it could fetch what they had, or heard of it.
        Err(error) => match checkpoint_of(last, &folder) {
            Some(state) => Found::of_checkpoint(state),
            None => return Err(error),
        },
    };
    if settings.ema.is_some() && found.averages.is_none() {
        found.averages = checkpoint_of(last, &folder).and_then(|state| state.averaged());
    }
    finish(settings, &folder, &mut lock(&metrics), &updates, found)
}

/// What the training came to, as far as this process knows.
struct Found {
    variables: Variables<f32>,
    averages: Option<Variables<f32>>,
    global_step: u64,
    generation: u64,
    totals: Totals,
    seconds: f64,
    /// This replica's own part.
    own: Option<ReplicaSummary>,
}

impl Found {
    fn of_report(report: ClusterReport<f32>) -> Result<Self, NodeError> {
        let Some(variables) = report.variables else { return Err(NodeError::NoVariables) };
        let counts = report.counts;
        let batches = counts.accepted + counts.stale + counts.duplicates + counts.superseded;
        let waited = counts.waited.as_secs_f64();
        Ok(Self {
            variables,
            // Servers do not send them; they are in the last checkpoint.
            averages: None,
            global_step: report.global_step.get().unsigned_abs(),
            generation: report.generation.get(),
            totals: report.totals,
            seconds: report.elapsed.as_secs_f64(),
            own: Some(ReplicaSummary {
                replica: 0,
                batches,
                accepted: counts.accepted,
                stale: counts.stale,
                duplicates: counts.duplicates,
                superseded: counts.superseded,
                compute_seconds: (report.elapsed.as_secs_f64() - waited).max(0.0),
                wait_seconds: waited,
                straggler_ms: None,
                failure: None,
            }),
        })
    }

    fn of_checkpoint(state: TrainingState<f32>) -> Self {
        Self {
            averages: state.averaged(),
            variables: state.variables,
            global_step: state.global_step.get().unsigned_abs(),
            generation: state.generation.get(),
            totals: Totals::default(),
            seconds: 0.0,
            own: None,
        }
    }
}

/// The newest checkpoint, if training that ended with this update ended with it.
fn checkpoint_of(update: u64, folder: &RunFolder) -> Option<TrainingState<f32>> {
    let newest = checkpoint::latest(folder.checkpoints()).ok()??;
    let state: TrainingState<f32> = checkpoint::read(&newest).ok()?;
    (state.global_step.get().unsigned_abs() >= update).then_some(state)
}

fn open_metrics(settings: &Settings, folder: &RunFolder) -> std::io::Result<Arc<Mutex<Metrics>>> {
    // An earlier life of the chief has written the lines before.
    let mut metrics = Metrics::append(&folder.root().join("metrics.jsonl"))?;
    metrics.write("run", &Run::of(settings))?;
    metrics.flush()?;
    Ok(Arc::new(Mutex::new(metrics)))
}

fn finish(
    settings: &Settings,
    folder: &RunFolder,
    metrics: &mut Metrics,
    updates: &Updates,
    found: Found,
) -> Result<Summary, NodeError> {
    let updates = std::mem::take(&mut *lock(updates));
    let summary = summarize(settings, folder, &updates, found).map_err(TrainError::from)?;
    metrics.write("result", &summary).map_err(TrainError::from)?;
    metrics.flush().map_err(TrainError::from)?;
    let (model, a, n) =
        (&summary.model, settings.replicas_to_aggregate, settings.total_num_replicas);
    let page = Page {
        title: format!("{model} · {a} of {n} replicas"),
        settings: settings.describe(),
        summary: &summary,
        updates: &updates,
        timeline: &[],
    };
    folder.write("report.html", &report::html(&page)).map_err(TrainError::from)?;
    Ok(summary)
}

fn summarize(
    settings: &Settings,
    folder: &RunFolder,
    updates: &[Update],
    found: Found,
) -> Result<Summary, sync_replicas::VariableError> {
    let newest = checkpoint::latest(folder.checkpoints()).ok().flatten();
    let test = |variables: &_| accuracy(&*settings.classifier, variables, &settings.digits.test);
    Ok(Summary {
        model: cli_name(settings.model),
        optimizer: cli_name(settings.optimizer_kind),
        test_accuracy: test(&found.variables)?,
        averages_test_accuracy: found.averages.as_ref().map(test).transpose()?,
        loss: updates.last().and_then(|update| update.loss),
        updates: found.global_step,
        updates_this_run: found.global_step,
        batches: found.totals.batches,
        examples: found.totals.examples,
        accepted: found.totals.accepted,
        stale: found.totals.stale,
        duplicates: 0,
        superseded: found.own.as_ref().map_or(0, |own| own.superseded),
        seconds: found.seconds,
        generation: found.generation,
        interrupted: found.global_step < settings.updates,
        run_dir: folder.root().display().to_string(),
        checkpoint: newest.map(|path| path.display().to_string()).unwrap_or_default(),
        variables_sha256: found.variables.sha256(),
        replicas: found.own.into_iter().collect(),
    })
}
