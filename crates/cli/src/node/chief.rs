//! The chief's own work: it shows how far training is, and records what it came to.
//!
//! Training does not need it. Invariant: a chief that comes back after the end still has the
//! result, from the last checkpoint.

use cluster::ClusterReport;
use sync_replicas::checkpoint::{self, TrainingState};

use super::Ended;
use super::error::NodeError;
use super::process::Process;
use crate::interrupt::Interrupt;
use crate::run_folder::RunFolder;
use crate::summary::ReplicaSummary;
use crate::train::{RunOutcome, RunRecord, TrainError, hooks};

pub(super) fn run(process: &Process) -> Result<Ended, NodeError> {
    let settings = &process.settings;
    // An earlier life of the chief has written the lines before.
    let record = RunRecord::open(settings, process.joined()?)?;
    let folder = record.folder();
    if let Some(state) = checkpoint_of(settings.updates, folder) {
        return over(&record, RunOutcome::of_checkpoint(state));
    }
    let first = folder.resumed().map_or(0, |resumed| resumed.step);
    let run_hook = record.hook(&Interrupt::new(), first);
    let ended = process.fit(hooks(settings, Some(run_hook), Some(folder)), folder.run());
    record.flush().map_err(TrainError::from)?;
    // The end is told once the last checkpoint is written; it may have come at any step.
    let (last, outcome) = match ended {
        Ok(report) if report.left => return Ok(Ended::Left),
        Ok(report) => (report.global_step.get().unsigned_abs(), of_report(report, first)),
        Err(error) => (settings.updates, Err(error)),
    };
    let mut outcome = match outcome {
        Ok(outcome) => outcome,
        // The servers may have ended before it could fetch what they had, or heard of it.
        Err(error) => match checkpoint_of(last, folder) {
            Some(state) => RunOutcome::of_checkpoint(state),
            None => return Err(error),
        },
    };
    if settings.ema.is_some() && outcome.averages.is_none() {
        outcome.averages = checkpoint_of(last, folder).and_then(|state| state.averaged());
    }
    over(&record, outcome)
}

fn over(record: &RunRecord<'_>, outcome: RunOutcome) -> Result<Ended, NodeError> {
    Ok(Ended::Over(Some(Box::new(record.finish(outcome)?))))
}

fn of_report(report: ClusterReport<f32>, first: u64) -> Result<RunOutcome, NodeError> {
    let Some(variables) = report.variables else { return Err(NodeError::NoVariables) };
    let counts = report.counts;
    let global_step = report.global_step.get().unsigned_abs();
    Ok(RunOutcome {
        variables,
        // Servers do not send them; they are in the last checkpoint.
        averages: None,
        generation: report.generation.get(),
        global_step,
        updates: global_step.saturating_sub(first),
        totals: report.totals,
        duplicates: 0,
        elapsed: report.elapsed,
        replicas: vec![ReplicaSummary {
            replica: 0,
            batches: counts.accepted
                + counts.stale
                + counts.duplicates
                + counts.superseded
                + counts.non_finite,
            accepted: counts.accepted,
            stale: counts.stale,
            duplicates: counts.duplicates,
            superseded: counts.superseded,
            non_finite: counts.non_finite,
            failed_batches: 0,
            compute_seconds: report.elapsed.saturating_sub(counts.waited).as_secs_f64(),
            wait_seconds: counts.waited.as_secs_f64(),
            straggler_ms: None,
            failure: None,
        }],
        timeline: None,
    })
}

/// The newest checkpoint, if training that ended with this update ended with it.
fn checkpoint_of(update: u64, folder: &RunFolder) -> Option<TrainingState<f32>> {
    let newest = checkpoint::latest(folder.checkpoints()).ok()??;
    let state: TrainingState<f32> = checkpoint::read(&newest).ok()?;
    (state.global_step.get().unsigned_abs() >= update).then_some(state)
}
