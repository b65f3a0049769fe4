//! One training in this process, from settings to a run folder.
//!
//! Its invariant: everything that can be refused is refused before the first update.

use std::net::TcpListener;

use sync_replicas::driver::with_causes;
use sync_replicas::error::FitError;
use sync_replicas::record::{Record, Totals};
use sync_replicas::{Report, Trainer, checkpoint};

use crate::args::SecurityArgs;
use crate::config::Config;
use crate::error::Error;
use crate::pages::html_report;
use crate::pages::observe::{self, Observed};
use crate::run::best::Best;
use crate::run::exports::Exports;
use crate::run::folder::RunFolder;
use crate::run::summary::{ReplicaSummary, Summary};
use crate::run::table_rows::TableRows;
use crate::run::tester::Source;
use crate::run::trace::Place;
use crate::run::{RunOutcome, RunRecord, batches, early_stop, hooks, learner, settings_of};
use crate::settings::Settings;
use crate::system::interrupt::Interrupt;
use crate::system::output::say;

/// Trains, and writes the run folder.
///
/// # Errors
/// When nothing could be begun, or training failed. After a failed run the folder has the metrics
/// and the last good checkpoint.
///
/// # Examples
/// ```no_run
/// use clap::Parser;
/// use cli::args::Cli;
/// use cli::commands::train::train;
/// use cli::settings::Settings;
/// use cli::system::interrupt::Interrupt;
///
/// let args = Cli::parse_from(["sync-replicas", "--updates", "50", "--quiet"]).into_train();
/// let summary = train(&Settings::check(args)?, &Interrupt::new())?;
/// println!("{:?}", summary.scores.test_accuracy);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn train(settings: &Settings, interrupt: &Interrupt) -> Result<Summary, Error> {
    let page = observe::address(settings.output.dashboard, None, &SecurityArgs::default())?;
    let page = observe::listen(page)?;
    let mut folder = RunFolder::open(settings)?;
    let events = Record::new();
    let can_go_out = Exports::check(&settings.output.exports);
    let trainer = match can_go_out.and_then(|()| start(settings, &folder, &events)) {
        Ok(trainer) => trainer,
        Err(error) => {
            folder.abandon();
            return Err(error);
        }
    };
    let first = folder.from().map_or(0, |from| from.step.get().unsigned_abs());
    let config = settings_of(settings, &folder)?;
    let record = RunRecord::open(folder, events, config, settings.output.tensorboard)?;
    let (folder, events) = (record.folder(), record.record());
    if first >= settings.length.updates {
        let state = checkpoint::read(folder.checkpoints()).map_err(Error::failed)?;
        let outcome = RunOutcome::of_checkpoint(state);
        // It had ended when it was started again: its result and its page stand.
        let Some(told) = record.told(first) else { return finish(settings, &record, &outcome) };
        record.write_result(&told)?;
        return record.summarize(settings, &outcome);
    }
    let exports = Exports::start(&settings.output.exports, events, folder.run(), Place::Process)?;
    // There is a good checkpoint from the first moment, whatever becomes of the first updates.
    trainer.save(folder.checkpoints(), settings.output.keep).map_err(Error::failed)?;

    if let Some(page) = page {
        show(page, &trainer, &record)?;
    }
    let rows = TableRows::Here(trainer.table_reader());
    let mut run_hook = record.hook(settings, interrupt, first, Source::Newest(rows));
    let best = settings.output.keep_best.map(|measure| Best::new(folder.root(), measure));
    run_hook.best = best.map(|best| (best, trainer.save_handle()));
    interrupt.attach(trainer.stop_handle());
    interrupt.attach_saver(saver(&trainer, folder, settings.output.keep)).map_err(|error| {
        Error::failed(format!("the thread that writes checkpoints did not start: {error}"))
    })?;
    let hooks = hooks(settings, Some(run_hook), Some(folder));
    let report = trainer.fit(&learner(settings), |_| batches(settings), hooks);
    drop(exports);
    let written = record.flush();
    let report = report.map_err(|error| {
        let words = format!("{error}{}", advice(&error, folder));
        Error::failed(with_causes(words, &error))
    })?;
    written?;
    finish(settings, &record, &outcome(settings, &trainer, &report))
}

fn finish(settings: &Settings, record: &RunRecord, outcome: &RunOutcome) -> Result<Summary, Error> {
    let summary = record.summarize(settings, outcome)?;
    record.write_result(&summary)?;
    html_report::draw(record, settings, &summary);
    Ok(summary)
}

/// The trainer that the settings describe, with the variables to go on from.
fn start(settings: &Settings, folder: &RunFolder, record: &Record) -> Result<Trainer<f32>, Error> {
    let variables = settings.trained.variables()?;
    let replicas = settings.replicas.with(&settings.update).run_id(folder.run()).record(record);
    let trainer = replicas.build(variables)?;
    if let Some(from) = folder.from() {
        trainer.restore(folder.checkpoints()).map_err(Error::failed)?;
        if !settings.output.quiet {
            say(from.words());
        }
    }
    folder.record(settings, &Config::of(settings)?)?;
    Ok(trainer)
}

/// Serves the live page there.
fn show(page: TcpListener, trainer: &Trainer<f32>, record: &RunRecord) -> Result<(), Error> {
    let (status, events) = (trainer.status_handle(), record.record().clone());
    let observed = Observed::new(move || Some(observe::of_process(status.get(), &events)));
    let observed = observed.with_record(record.record()).in_folder(record.folder().root());
    let address = observe::serve(observed, page)?;
    say(format!("live page: http://{address}/"));
    Ok(())
}

/// What writes a checkpoint of now.
fn saver(trainer: &Trainer<f32>, folder: &RunFolder, keep: usize) -> impl Fn() + Send + 'static {
    let (training, folder) = (trainer.save_handle(), folder.checkpoints().to_owned());
    move || match training.save(&folder, keep) {
        Ok(path) => tracing::info!(path = %path.display(), "a checkpoint is written, as asked"),
        Err(error) => tracing::error!(%error, "the checkpoint that was asked for is not written"),
    }
}

fn advice(error: &FitError, folder: &RunFolder) -> String {
    match checkpoint::latest(folder.checkpoints()) {
        // It says so itself.
        _ if matches!(error, FitError::NotFinite { .. }) => String::new(),
        Ok(Some(path)) => format!("; the last good checkpoint is {}", path.display()),
        _ => String::new(),
    }
}

fn outcome(settings: &Settings, trainer: &Trainer<f32>, report: &Report) -> RunOutcome {
    let snapshot = trainer.snapshot();
    let delay = |replica: u64| settings.replicas.stragglers.delay(replica);
    let replicas = report.replicas.iter();
    RunOutcome {
        variables: snapshot.variables.clone(),
        averages: trainer.averages(),
        rows: TableRows::Here(trainer.table_reader()),
        generation: snapshot.generation.get(),
        global_step: report.global_step.unsigned_abs(),
        updates: report.updates,
        totals: Totals {
            batches: report.batches,
            examples: report.examples,
            accepted: report.accepted,
            stale: report.stale,
            duplicates: report.duplicates,
        },
        elapsed: report.elapsed,
        stopped_by: early_stop::reason(&report.stopped),
        replicas: replicas.map(|it| ReplicaSummary::new(it, delay(it.replica.get()))).collect(),
    }
}
