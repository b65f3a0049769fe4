//! The record of a run in its folder: metrics while it trains, then its result.
//!
//! The same for a training in one process, which does everything, for a cluster, where parameter
//! server 0 writes what happens and the chief its tests, and for a program that is not ours.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sync_replicas::Variables;
use sync_replicas::checkpoint::{self, TrainingState};
use sync_replicas::record::{Cursor, Record, Totals};

use super::run_line::run_line;
use crate::args::cli_name;
use crate::config::Config;
use crate::error::Error;
use crate::lock::lock;
use crate::run::best::Kept;
use crate::run::board::Board;
use crate::run::early_stop::EarlyStop;
use crate::run::folder::RunFolder;
use crate::run::folder::files::{BOARD, METRICS, TESTS};
use crate::run::history::History;
use crate::run::hook::RunHook;
use crate::run::log::RunLog;
use crate::run::progress::Progress;
use crate::run::summary::{ReplicaSummary, Summary};
use crate::run::table_rows::TableRows;
use crate::run::tester::{Source, Tester};
use crate::settings::Settings;
use crate::system::interrupt::Interrupt;

/// The result of a training.
pub(crate) struct RunOutcome {
    pub(crate) variables: Variables<f32>,
    pub(crate) averages: Option<Variables<f32>>,
    pub(crate) rows: TableRows,
    pub(crate) generation: u64,
    pub(crate) global_step: u64,
    /// Updates made by this run.
    pub(crate) updates: u64,
    pub(crate) totals: Totals,
    pub(crate) elapsed: Duration,
    /// Why it ended before its last update, if `--stop-when` says so.
    pub(crate) stopped_by: Option<String>,
    /// Every replica, as far as it is known.
    pub(crate) replicas: Vec<ReplicaSummary>,
}

impl RunOutcome {
    /// For a training that has already ended: its last checkpoint has all that is left.
    pub(crate) fn of_checkpoint(state: TrainingState<f32>) -> Self {
        Self {
            averages: state.averaged(),
            rows: TableRows::Saved(state.tables),
            variables: state.variables,
            generation: state.generation.get(),
            global_step: state.global_step.get().unsigned_abs(),
            updates: 0,
            totals: Totals::default(),
            elapsed: Duration::ZERO,
            stopped_by: None,
            replicas: Vec::new(),
        }
    }
}

/// The record while the run trains.
pub(crate) struct RunRecord {
    folder: RunFolder,
    record: Record,
    log: Arc<Mutex<RunLog>>,
}

impl RunRecord {
    /// For the process that makes the updates, with the settings of the run.
    pub(crate) fn open(
        folder: RunFolder,
        record: Record,
        settings: Config,
        tensorboard: bool,
    ) -> Result<Self, Error> {
        let (metrics, run) = (folder.root().join(METRICS), run_line(&folder, settings));
        let board = tensorboard.then(|| Board::open(&folder.root().join(BOARD)));
        let log = RunLog::open(&metrics, &run, record.clone(), board.transpose()?)?;
        Ok(Self { folder, record, log: Arc::new(Mutex::new(log)) })
    }

    /// For the chief of a cluster, which tests what the servers update.
    pub(crate) fn of_chief(folder: RunFolder, tensorboard: bool) -> Result<Self, Error> {
        let record = Record::new();
        // TensorBoard reads one file of a folder at a time.
        let (root, own) = (folder.root(), "chief");
        let board = tensorboard.then(|| Board::open(&root.join(BOARD).join(own)));
        let log = RunLog::of_tests(&root.join(TESTS[0]), record.clone(), board.transpose()?)?;
        Ok(Self { folder, record, log: Arc::new(Mutex::new(log)) })
    }

    pub(crate) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Where to record training.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// What is written while it trains.
    pub(crate) fn log(&self) -> &Arc<Mutex<RunLog>> {
        &self.log
    }

    /// The hook that tests the updates after `first`, and shows them.
    pub(crate) fn hook(
        &self,
        settings: &Settings,
        interrupt: &Interrupt,
        first: u64,
        source: Source,
    ) -> RunHook {
        RunHook {
            tester: Tester::new(settings, source),
            interrupt: interrupt.clone(),
            log: Arc::clone(&self.log),
            progress: Progress::new(settings.output.quiet, first, settings.length.updates),
            begun: (Instant::now(), first),
            save_every: settings.output.save_every,
            eval_every: settings.length.eval_every,
            tested: None,
            stop: settings.length.stop_when.map(EarlyStop::new),
            best: None,
        }
    }

    /// Hands all lines to the system, even those of a failed run.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        lock(&self.log).flush()
    }

    /// Writes the result among the metrics.
    pub(crate) fn write_result(&self, summary: &Summary) -> Result<(), Error> {
        let mut log = lock(&self.log);
        log.flush()?;
        log.result(summary);
        log.flush()
    }

    /// The result that any process has written for a run that ended with this update.
    pub(crate) fn told(&self, updates: u64) -> Option<Summary> {
        let history = History::read(self.folder.root()).ok()?;
        history.told.filter(|summary| summary.updates == updates)
    }

    /// The result of a training.
    pub(crate) fn summarize(
        &self,
        settings: &Settings,
        outcome: &RunOutcome,
    ) -> Result<Summary, Error> {
        let tester = Tester::new(settings, Source::Newest(outcome.rows.clone()));
        let test = |variables: &_| tester.scores(variables, &outcome.rows).map_err(Error::failed);
        let tested = test(&outcome.variables)?;
        let averages = outcome.averages.as_ref().map(test).transpose()?;
        let latest = self.record.since(&mut Cursor::default());
        let root = self.folder.root();
        let best = settings.output.keep_best.and_then(|_| Kept::read(root));
        let best_checkpoint = best.as_ref().and_then(|_| Kept::checkpoint(root));
        Ok(Summary {
            model: settings.trained.kind.name().to_owned(),
            optimizer: cli_name(settings.update.kind),
            scores: tested.scores,
            base: tested.base,
            averages_test_accuracy: averages.and_then(|tested| tested.scores.test_accuracy),
            loss: latest.updates.last().and_then(|update| update.loss),
            updates: outcome.global_step,
            updates_this_run: outcome.updates,
            seconds: outcome.elapsed.as_secs_f64(),
            generation: outcome.generation,
            interrupted: outcome.global_step < settings.length.updates
                && outcome.stopped_by.is_none(),
            stopped_by: outcome.stopped_by.clone(),
            best_step: best.as_ref().map(|best| best.step),
            best_value: best.as_ref().map(|best| best.value),
            best_checkpoint: best_checkpoint.map(|path| path.display().to_string()),
            variables_sha256: outcome.variables.sha256(),
            ..self.counts(&outcome.totals, outcome.replicas.clone())?
        })
    }

    /// The result of a training, as far as it is known whatever is trained: what the replicas did,
    /// and where it is.
    pub(crate) fn counts(
        &self,
        totals: &Totals,
        replicas: Vec<ReplicaSummary>,
    ) -> Result<Summary, Error> {
        let newest = checkpoint::latest(self.folder.checkpoints())?;
        let sum = |of: fn(&ReplicaSummary) -> u64| replicas.iter().map(of).sum();
        Ok(Summary {
            batches: totals.batches,
            examples: totals.examples,
            accepted: totals.accepted,
            stale: totals.stale,
            duplicates: sum(|it| it.duplicates),
            unused: sum(|it| it.unused),
            superseded: sum(|it| it.superseded),
            non_finite: sum(|it| it.non_finite),
            failed_batches: sum(|it| it.failed_batches),
            failed_replicas: replicas.iter().filter(|it| it.failure.is_some()).count(),
            resumed_from: self.folder.resumed().map(|it| it.checkpoint.display().to_string()),
            run_dir: self.folder.root().display().to_string(),
            checkpoint: newest.map(|path| path.display().to_string()).unwrap_or_default(),
            replicas,
            ..Summary::default()
        })
    }
}
