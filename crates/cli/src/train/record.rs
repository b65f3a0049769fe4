//! The record of a run in its folder: metrics while it trains, then its result and its pages.
//!
//! The same for a training in one process and for the chief of a cluster.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use digits::models::accuracy;
use sync_replicas::checkpoint::{self, TrainingState};
use sync_replicas::{Span, Totals, Variables};

use super::error::TrainError;
use crate::args::cli_name;
use crate::interrupt::Interrupt;
use crate::metrics::{Metrics, Run, Update, batches};
use crate::progress::Progress;
use crate::report::{self, Page};
use crate::run_folder::RunFolder;
use crate::run_hook::{RunHook, RunLog, lock};
use crate::settings::Settings;
use crate::summary::{ReplicaSummary, Summary};

/// What a training came to.
pub(crate) struct RunOutcome {
    pub(crate) variables: Variables<f32>,
    pub(crate) averages: Option<Variables<f32>>,
    pub(crate) generation: u64,
    pub(crate) global_step: u64,
    /// Updates made by this run.
    pub(crate) updates: u64,
    pub(crate) totals: Totals,
    pub(crate) duplicates: u64,
    pub(crate) elapsed: Duration,
    /// The replicas that this process knows of.
    pub(crate) replicas: Vec<ReplicaSummary>,
    /// `None` in a cluster, whose replicas keep none.
    pub(crate) timeline: Option<Vec<Span>>,
}

impl RunOutcome {
    /// Of a training that has ended before: its last checkpoint says all that is left.
    pub(crate) fn of_checkpoint(state: TrainingState<f32>) -> Self {
        Self {
            averages: state.averaged(),
            variables: state.variables,
            generation: state.generation.get(),
            global_step: state.global_step.get().unsigned_abs(),
            updates: 0,
            totals: Totals::default(),
            duplicates: 0,
            elapsed: Duration::ZERO,
            replicas: Vec::new(),
            timeline: None,
        }
    }
}

/// The record while the run trains.
pub(crate) struct RunRecord<'a> {
    settings: &'a Settings,
    folder: RunFolder,
    log: Arc<Mutex<RunLog>>,
}

impl<'a> RunRecord<'a> {
    /// Opens the metrics, where there are some already behind them, and writes the line of the run.
    pub(crate) fn open(settings: &'a Settings, folder: RunFolder) -> Result<Self, TrainError> {
        let mut metrics = Metrics::append(&folder.root().join("metrics.jsonl"))?;
        metrics.write("run", &Run::of(settings))?;
        metrics.flush()?;
        let log = Arc::new(Mutex::new(RunLog { metrics, updates: Vec::new() }));
        Ok(Self { settings, folder, log })
    }

    pub(crate) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The hook that records the updates after `first`.
    pub(crate) fn hook(&self, interrupt: &Interrupt, first: u64) -> RunHook {
        let settings = self.settings;
        RunHook {
            classifier: Arc::clone(&settings.classifier),
            digits: Arc::clone(&settings.digits),
            interrupt: interrupt.clone(),
            log: Arc::clone(&self.log),
            progress: Progress::new(settings.quiet, first, settings.updates),
            begun: Instant::now(),
            eval_every: settings.eval_every,
            accuracy: None,
        }
    }

    /// Hands all lines to the system, also those of a run that failed.
    pub(crate) fn flush(&self) -> io::Result<()> {
        lock(&self.log).metrics.flush()
    }

    /// Writes the result and the pages.
    pub(crate) fn finish(&self, outcome: RunOutcome) -> Result<Summary, TrainError> {
        let mut log = lock(&self.log);
        let RunLog { metrics, updates } = &mut *log;
        let summary = self.summarize(&outcome, updates)?;
        let timeline = outcome.timeline.as_deref();
        for batch in batches(timeline.unwrap_or_default()) {
            metrics.write("batch", &batch)?;
        }
        metrics.write("result", &summary)?;
        metrics.flush()?;
        let (a, n) = (self.settings.replicas_to_aggregate, self.settings.total_num_replicas);
        let page = Page {
            title: format!("{} · {a} of {n} replicas", summary.model),
            settings: self.settings.describe(),
            summary: &summary,
            updates,
            timeline: timeline.unwrap_or_default(),
        };
        self.folder.write("report.html", &report::html(&page))?;
        if timeline.is_some() {
            self.folder.write("timeline.svg", &report::picture(&page))?;
        }
        Ok(summary)
    }

    fn summarize(&self, outcome: &RunOutcome, updates: &[Update]) -> Result<Summary, TrainError> {
        let settings = self.settings;
        let test =
            |variables: &_| accuracy(&*settings.classifier, variables, &settings.digits.test);
        let newest = checkpoint::latest(self.folder.checkpoints())?;
        let replicas = outcome.replicas.iter();
        Ok(Summary {
            model: cli_name(settings.model),
            optimizer: cli_name(settings.optimizer_kind),
            test_accuracy: test(&outcome.variables)?,
            averages_test_accuracy: outcome.averages.as_ref().map(test).transpose()?,
            loss: updates.last().and_then(|update| update.loss),
            updates: outcome.global_step,
            updates_this_run: outcome.updates,
            batches: outcome.totals.batches,
            examples: outcome.totals.examples,
            accepted: outcome.totals.accepted,
            stale: outcome.totals.stale,
            duplicates: outcome.duplicates,
            superseded: replicas.clone().map(|replica| replica.superseded).sum(),
            non_finite: replicas.clone().map(|replica| replica.non_finite).sum(),
            seconds: outcome.elapsed.as_secs_f64(),
            generation: outcome.generation,
            interrupted: outcome.global_step < settings.updates,
            resumed_from: self.folder.resumed().map(|it| it.checkpoint.display().to_string()),
            run_dir: self.folder.root().display().to_string(),
            checkpoint: newest.map(|path| path.display().to_string()).unwrap_or_default(),
            variables_sha256: outcome.variables.sha256(),
            failed_batches: replicas.clone().map(|replica| replica.failed_batches).sum(),
            failed_replicas: replicas.filter(|replica| replica.failure.is_some()).count(),
            replicas: outcome.replicas.clone(),
        })
    }
}
