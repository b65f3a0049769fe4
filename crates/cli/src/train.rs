//! One training, from settings to a run folder.
//!
//! Its invariant: everything that can be refused is refused before the first update.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use optim::Optimizer;
use sync_replicas::{
    CheckpointError, FitError, Hooks, Report, Span, SyncReplicas, Trainer, checkpoint,
};

use crate::args::cli_name;
use crate::error::UsageError;
use crate::interrupt::Interrupt;
use crate::learner::{Learner, Numbered};
use crate::metrics::{Metrics, Run, Update, batches};
use crate::models::accuracy;
use crate::progress::Progress;
use crate::report::{self, Page};
use crate::run_folder::{FolderError, RunFolder, checkpoint_in};
use crate::settings::Settings;
use crate::summary::{ReplicaSummary, Summary, total};
use crate::watch::{Updates, Watch, lock};

/// Checkpoints that are kept: the newest, and one to fall back to.
const KEEP: usize = 2;

/// Runs up to this long have a timeline; a longer one would fill memory with it.
const MOST_TIMED: u64 = 100_000;

/// Why there is no trained model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The options cannot be meant.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The run folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is at or past the end that was asked for.
    #[error(
        "nothing is left to train: the checkpoint is at update {at}, and --updates is {updates}; \
         give a larger number"
    )]
    NothingLeft {
        /// The checkpoint's global step.
        at: i64,
        /// The end asked for.
        updates: u64,
    },
    /// Training failed.
    #[error("{source}{advice}")]
    Fit {
        /// Why.
        source: FitError,
        /// Where the last good checkpoint is.
        advice: String,
    },
    /// A file of the run folder could not be written.
    #[error("writing metrics.jsonl failed: {0}")]
    Metrics(#[from] std::io::Error),
    /// The model does not fit its variables.
    #[error(transparent)]
    Variables(#[from] sync_replicas::VariableError),
}

impl TrainError {
    /// The exit status of the program: 2 when nothing was begun, 1 for a run that failed.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Folder(_) | Self::NothingLeft { .. } => 2,
            _ => 1,
        }
    }
}

/// Trains, and writes the run folder.
///
/// # Errors
/// [`TrainError`]. After a failed run the folder has the metrics and the last good checkpoint.
///
/// # Examples
/// ```no_run
/// use clap::Parser;
/// use cli::{args::Cli, interrupt::Interrupt, settings::Settings, train::train};
///
/// let args = Cli::parse_from(["sync-replicas", "--updates", "50", "--quiet"]).into_train();
/// let summary = train(&Settings::check(args)?, &Interrupt::new())?;
/// println!("{}", summary.test_accuracy);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn train(settings: &Settings, interrupt: &Interrupt) -> Result<Summary, TrainError> {
    let model = cli_name(settings.model);
    let described = settings.describe();
    let trainer = build(settings)?;
    let built = Instant::now();
    let first = match &settings.resume {
        Some(path) => resume(&trainer, path, settings.updates)?,
        None => 0,
    };
    let folder = RunFolder::prepare(
        &model,
        settings.out.as_deref(),
        settings.checkpoint_dir.as_deref(),
        settings.resume.is_some(),
    )?;
    let mut metrics = Metrics::create(&folder.root().join("metrics.jsonl"))?;
    metrics.write("run", &Run::of(settings))?;
    let metrics = Arc::new(Mutex::new(metrics));
    // There is a good checkpoint from the first moment, whatever becomes of the first updates.
    trainer.save(folder.checkpoints(), KEEP)?;

    let updates = Updates::default();
    let watch = watch(settings, interrupt, (&metrics, &updates), first);
    let begun = watch.begun;
    interrupt.attach(trainer.stop_handle());
    let hooks = hooks(settings, Some(watch), Some(&folder));
    let report = trainer.fit(&learner(settings), |_| shard(settings), hooks);
    lock(&metrics).flush()?;
    let mut report =
        report.map_err(|source| TrainError::Fit { source, advice: advice(&folder) })?;
    start_from_zero(&mut report.timeline, begun - built);

    let updates = std::mem::take(&mut *lock(&updates));
    let summary = summarize(settings, &trainer, &report, &updates, &folder, interrupt)?;
    write_metrics(&mut lock(&metrics), &report, &summary)?;
    let (a, n) = (settings.replicas_to_aggregate, settings.total_num_replicas);
    let page = Page {
        title: format!("{model} · {a} of {n} replicas"),
        settings: described,
        summary: &summary,
        updates: &updates,
        timeline: &report.timeline,
    };
    folder.write("report.html", &report::html(&page))?;
    folder.write("timeline.svg", &report::picture(&page))?;
    Ok(summary)
}

/// The chief's own hook.
pub(crate) fn watch(
    settings: &Settings,
    interrupt: &Interrupt,
    (metrics, updates): (&Arc<Mutex<Metrics>>, &Updates),
    first: u64,
) -> Watch {
    Watch {
        classifier: Arc::clone(&settings.classifier),
        digits: Arc::clone(&settings.digits),
        interrupt: interrupt.clone(),
        metrics: Arc::clone(metrics),
        updates: Arc::clone(updates),
        progress: Progress::new(settings.quiet, first, settings.updates),
        begun: Instant::now(),
        last_step: settings.updates,
        accuracy: None,
    }
}

/// What watches over a training, and what ends it.
pub(crate) fn hooks(
    settings: &Settings,
    watch: Option<Watch>,
    folder: Option<&RunFolder>,
) -> Hooks<f32> {
    let mut hooks = Hooks::new();
    if let Some(watch) = watch {
        hooks = hooks.hook(watch);
    }
    hooks = hooks.nan_guard();
    if let Some(folder) = folder {
        hooks = hooks.checkpoints(folder.checkpoints(), settings.save_every, KEEP);
    }
    hooks.stop_at_step(i64::try_from(settings.updates).unwrap_or(i64::MAX))
}

/// What is trained.
pub(crate) fn learner(settings: &Settings) -> Learner<'_> {
    Learner {
        classifier: &*settings.classifier,
        examples: &settings.digits.train,
        stragglers: &settings.stragglers,
        clip: settings.clip,
    }
}

/// A replica's source of batches.
pub(crate) fn shard(settings: &Settings) -> Numbered {
    Numbered(settings.batches.clone())
}

/// The trainer that the settings describe.
fn build(settings: &Settings) -> Result<Trainer<f32>, TrainError> {
    let variables = settings.classifier.variables(settings.seed)?;
    Ok(replicas(settings)?.build(variables).map_err(UsageError::from)?)
}

/// The replicas that the settings describe, in one process or in many.
pub(crate) fn replicas(
    settings: &Settings,
) -> Result<SyncReplicas<Box<dyn Optimizer<f32>>>, TrainError> {
    let mut replicas = SyncReplicas::new(settings.optimizer()?)
        .replicas_to_aggregate(settings.replicas_to_aggregate)
        .total_num_replicas(settings.total_num_replicas);
    if settings.reference {
        replicas = replicas.reference();
    }
    replicas = replicas.order(settings.order).timeline(settings.updates <= MOST_TIMED);
    if let Some(tokens) = settings.initial_tokens {
        replicas = replicas.initial_tokens(tokens);
    }
    if let Some(policy) = settings.token_policy {
        replicas = replicas.token_policy(policy);
    }
    if let Some(mean) = settings.sparse_mean {
        replicas = replicas.sparse_mean(mean);
    }
    if let Some(decay) = settings.ema {
        replicas = replicas.moving_average(decay);
    }
    if let Some(lease) = settings.lease {
        replicas = replicas.lease(lease);
    }
    if let Some(deadline) = settings.step_deadline {
        replicas = replicas.step_deadline(deadline);
    }
    Ok(replicas)
}

/// Loads a checkpoint; answers its step.
fn resume(trainer: &Trainer<f32>, path: &Path, updates: u64) -> Result<u64, TrainError> {
    let at = trainer.restore(&checkpoint_in(path))?.get();
    match u64::try_from(at) {
        Ok(first) if first < updates => Ok(first),
        _ => Err(TrainError::NothingLeft { at, updates }),
    }
}

/// Spans count from when the trainer was built, pages from when training began.
fn start_from_zero(timeline: &mut [Span], begun: Duration) {
    for span in timeline {
        span.start = span.start.saturating_sub(begun);
        span.end = span.end.saturating_sub(begun);
    }
}

fn advice(folder: &RunFolder) -> String {
    match checkpoint::latest(folder.checkpoints()) {
        Ok(Some(path)) => format!("; the last good checkpoint is {}", path.display()),
        _ => String::new(),
    }
}

fn summarize(
    settings: &Settings,
    trainer: &Trainer<f32>,
    report: &Report,
    updates: &[Update],
    folder: &RunFolder,
    interrupt: &Interrupt,
) -> Result<Summary, TrainError> {
    let snapshot = trainer.snapshot();
    let test = |variables: &_| accuracy(&*settings.classifier, variables, &settings.digits.test);
    let newest = checkpoint::latest(folder.checkpoints())?;
    let updates_made = u64::try_from(report.global_step).unwrap_or_default();
    Ok(Summary {
        model: cli_name(settings.model),
        optimizer: cli_name(settings.optimizer_kind),
        test_accuracy: test(&snapshot.variables)?,
        averages_test_accuracy: trainer.averages().as_ref().map(test).transpose()?,
        loss: updates.last().and_then(|update| update.loss),
        updates: updates_made,
        updates_this_run: report.updates,
        batches: report.batches,
        examples: report.examples,
        accepted: report.accepted,
        stale: report.stale,
        duplicates: total(report, |replica| replica.tally.duplicates),
        superseded: total(report, |replica| replica.tally.superseded),
        seconds: report.elapsed.as_secs_f64(),
        generation: snapshot.generation.get(),
        interrupted: interrupt.requested() && updates_made < settings.updates,
        run_dir: folder.root().display().to_string(),
        checkpoint: newest.map(|path| path.display().to_string()).unwrap_or_default(),
        variables_sha256: snapshot.variables.sha256(),
        replicas: report
            .replicas
            .iter()
            .map(|replica| {
                ReplicaSummary::new(replica, settings.stragglers.delay(replica.replica.get()))
            })
            .collect(),
    })
}

fn write_metrics(
    metrics: &mut Metrics,
    report: &Report,
    summary: &Summary,
) -> Result<(), TrainError> {
    for batch in batches(&report.timeline) {
        metrics.write("batch", &batch)?;
    }
    metrics.write("result", summary)?;
    Ok(metrics.flush()?)
}
