//! The chief's own work: it tests, shows progress, and draws the result.
//!
//! Training does not need it. Invariant: a chief that comes back after the end still has the
//! result, from the last checkpoint.

use cluster::ClusterReport;
use cluster::exit::Exit;
use sync_replicas::Variables;
use sync_replicas::checkpoint::{self, TrainingState};

use super::ended::Ended;
use super::last_test;
use super::process::Process;
use crate::error::Error;
use crate::pages::html_report;
use crate::run::folder::{Resumed, RunFolder};
use crate::run::summary::ReplicaSummary;
use crate::run::table_rows::TableRows;
use crate::run::tester::Source;
use crate::run::{RunOutcome, RunRecord, early_stop, hooks};
use crate::settings::Settings;
use crate::system::interrupt::Interrupt;

pub(super) fn run(process: &Process) -> Result<Ended, Error> {
    let settings = &process.settings;
    // An earlier life of the chief has written the lines before.
    let record = RunRecord::of_chief(process.joined()?, settings.output.tensorboard)?;
    let folder = record.folder();
    if let Some(state) = checkpoint_of(last_update(process, folder), folder) {
        return told(process, &record, RunOutcome::of_checkpoint(state));
    }
    let first = folder.resumed().map_or(0, |resumed| resumed.step);
    // Servers give rows to replicas alone; what they save is for everybody.
    let source = match settings.trained.model.has_tables() {
        true => Source::Checkpoints(folder.checkpoints().to_owned(), None),
        false => Source::Newest(TableRows::Elsewhere),
    };
    let run_hook = record.hook(settings, &Interrupt::new(), first, source);
    let hooks = hooks(settings, Some(run_hook), Some(folder));
    let ended = process.fit(hooks, folder.run(), Some(record.record()));
    record.flush()?;
    // The end is told once the last checkpoint is written; it may have come at any step.
    let (last, stopped_by, outcome) = match ended {
        Ok(report) if report.left => return Ok(Ended::Left),
        Ok(report) => {
            let last = report.global_step.get().unsigned_abs();
            let stopped_by = early_stop::reason(&report.stopped);
            (last, stopped_by, of_report(&report, settings))
        }
        Err(error) => (last_update(process, folder), None, Err(error)),
    };
    let mut outcome = match outcome {
        Ok(outcome) => outcome,
        // The servers may have ended before it could fetch what they had, or heard of it.
        Err(error) => match checkpoint_of(last, folder) {
            Some(state) => {
                let outcome = RunOutcome { stopped_by, ..RunOutcome::of_checkpoint(state) };
                return told(process, &record, outcome);
            }
            None => return Err(error),
        },
    };
    let lacks_averages = settings.update.ema.is_some() && outcome.averages.is_none();
    let lacks_rows =
        settings.trained.model.has_tables() && matches!(outcome.rows, TableRows::Elsewhere);
    if (lacks_averages || lacks_rows)
        && let Some(state) = checkpoint_of(last, folder)
    {
        outcome.averages = state.averaged();
        outcome.rows = TableRows::Saved(state.tables);
    }
    over(process, &record, &outcome)
}

/// The update that training ends with, or the first that it may have ended with, if any.
fn last_update(process: &Process, folder: &RunFolder) -> u64 {
    // Without a launcher the folder may still tell of the part before, which others go on from.
    let has_ended = process.is_launched && folder.has_ended();
    if has_ended { 0 } else { process.settings.length.updates }
}

/// The end of a training of which only the last checkpoint is at hand: parameter server 0 may
/// already have reported it, and knows more.
fn told(process: &Process, record: &RunRecord, outcome: RunOutcome) -> Result<Ended, Error> {
    let Some(mut summary) = record.told(outcome.global_step) else {
        return over(process, record, &outcome);
    };
    let nothing_left = |it: Resumed| it.step >= outcome.global_step;
    if record.folder().resumed().is_some_and(nothing_left) {
        // All of it was made before this start.
        summary = record.summarize(&process.settings, &outcome)?;
    }
    Ok(Ended::Over(Some(Box::new(summary))))
}

fn over(process: &Process, record: &RunRecord, outcome: &RunOutcome) -> Result<Ended, Error> {
    last_test::wait(process, record.folder(), outcome)?;
    let summary = record.summarize(&process.settings, outcome)?;
    html_report::draw(record, &process.settings, &summary);
    Ok(Ended::Over(Some(Box::new(summary))))
}

fn of_report(report: &ClusterReport<f32>, settings: &Settings) -> Result<RunOutcome, Error> {
    let Some(variables) = &report.variables else {
        let lost = "training ended before the chief could fetch the variables; start it again";
        return Err(Error::new(Exit::Restart, lost));
    };
    let variables = variables.clone();
    // Servers do not send averages; they are in the last checkpoint.
    Ok(outcome_of(report, settings, (variables, None, TableRows::Elsewhere)))
}

/// The result of a training, from a process that knows all replicas.
pub(super) fn outcome_of(
    report: &ClusterReport<f32>,
    settings: &Settings,
    (variables, averages, rows): (Variables<f32>, Option<Variables<f32>>, TableRows),
) -> RunOutcome {
    let (last, first) = (report.global_step.get(), report.first_step.get());
    let global_step = last.unsigned_abs();
    let replicas = report.replicas.iter();
    let delay = |replica: u64| settings.replicas.stragglers.delay(replica);
    RunOutcome {
        variables,
        averages,
        rows,
        generation: report.generation.get(),
        global_step,
        updates: last.saturating_sub(first).unsigned_abs(),
        totals: report.totals,
        elapsed: report.elapsed,
        stopped_by: early_stop::reason(&report.stopped),
        replicas: replicas.map(|it| ReplicaSummary::new(it, delay(it.replica.get()))).collect(),
    }
}

/// The newest checkpoint, if training that ended with this update ended with it.
pub(super) fn checkpoint_of(update: u64, folder: &RunFolder) -> Option<TrainingState<f32>> {
    let newest = checkpoint::latest(folder.checkpoints()).ok()??;
    let state: TrainingState<f32> = checkpoint::open(&newest).ok()?;
    (state.global_step.get().unsigned_abs() >= update).then_some(state)
}
