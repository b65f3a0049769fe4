//! The hooks of a `fit`: the usual ones by name, the user's own beside them.
//!
//! They run in the order given, between two updates, on whichever thread closed the step.

mod saving;

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hooks::{
    BoxError, Failure, Hook, NanGuard, RunContext, StepReport, StopAtStep, SummarySaver,
    TensorBoard, Tracker,
};

use self::saving::Saving;
use crate::checkpoint::Checkpoints;
use crate::hook_host::BoxedHooks;
use crate::runtime::Shared;
use crate::{ChiefSession, JsonLines, Scalar};

/// Hooks for [`Trainer::fit`](crate::Trainer::fit).
///
/// # Examples
/// ```
/// use sync_replicas::Hooks;
///
/// let hooks = Hooks::<f32>::new()
///     .stop_at_step(500)
///     .nan_guard()
///     .every(100, |chief, report| {
///         println!("step {}: {:?}", report.global_step, chief.snapshot().variables.parameters());
///         Ok(())
///     });
/// # drop(hooks);
/// ```
// R-35
#[must_use]
pub struct Hooks<T: Scalar> {
    list: Vec<Entry<T>>,
}

/// What a list holds: code, or tasks that the process that makes the updates can do better.
enum Entry<T: Scalar> {
    Hook(Box<dyn Hook<ChiefSession<T>>>),
    StopAtStep(i64),
    NanGuard,
    Checkpoints(Checkpoints),
}

/// What [`Hooks::stop_at_step`], [`Hooks::nan_guard`] and [`Hooks::checkpoints`] requested, for a
/// process elsewhere that makes the updates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerDuties {
    /// The update to end after.
    pub last_step: Option<i64>,
    /// Whether to end when the loss is NaN or infinite.
    pub nan_guard: bool,
    /// The checkpoints.
    pub checkpoints: Option<Checkpoints>,
}

impl<T: Scalar> fmt::Debug for Hooks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("len", &self.list.len()).finish_non_exhaustive()
    }
}

impl<T: Scalar> Default for Hooks<T> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

impl<T: Scalar> Hooks<T> {
    /// No hooks: training ends when the data ends or a stop is asked for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds any hook.
    pub fn hook(mut self, hook: impl Hook<ChiefSession<T>> + 'static) -> Self {
        self.list.push(Entry::Hook(Box::new(hook)));
        self
    }

    /// All hooks, in order, for a training whose updates are made in this process.
    pub(crate) fn into_boxed(self, shared: &Arc<Shared<T>>) -> BoxedHooks<T> {
        self.list.into_iter().map(|entry| entry.into_hook(shared)).collect()
    }

    /// Where checkpoints go.
    pub(crate) fn checkpoint_folders(&self) -> Vec<PathBuf> {
        let folder = |entry: &Entry<T>| match entry {
            Entry::Checkpoints(checkpoints) => Some(checkpoints.folder.clone()),
            _ => None,
        };
        self.list.iter().filter_map(folder).collect()
    }

    /// The hooks that are code, and the other requests: the parameter servers of a cluster make the
    /// updates, and themselves end and save.
    #[must_use]
    pub fn split(self) -> (BoxedHooks<T>, ServerDuties) {
        let mut duties = ServerDuties::default();
        let mut list = Vec::new();
        for entry in self.list {
            match entry {
                Entry::StopAtStep(step) => {
                    duties.last_step = Some(duties.last_step.map_or(step, |last| last.min(step)));
                }
                Entry::NanGuard => duties.nan_guard = true,
                Entry::Checkpoints(checkpoints) => duties.checkpoints = Some(checkpoints),
                Entry::Hook(hook) => list.push(hook),
            }
        }
        (list, duties)
    }

    /// Ends training exactly after update `step`.
    // R-34
    pub fn stop_at_step(mut self, step: i64) -> Self {
        self.list.push(Entry::StopAtStep(step));
        self
    }

    /// Ends training with an error that names the step when the mean loss of a step is NaN or
    /// infinite. It checks the loss alone, in a cluster before the step is made and in one process
    /// after it; [`NonFinite`](engine::NonFinite) guards gradients and variables.
    // R-34
    pub fn nan_guard(mut self) -> Self {
        self.list.push(Entry::NanGuard);
        self
    }

    /// Saves a checkpoint every `steps` updates and at the end, keeping the `keep` newest; at least
    /// two, since the newest is not known to be good before a batch that was computed from its
    /// variables has a finite loss.
    ///
    /// A checkpoint that cannot be written is an error in the log, is noted in the
    /// [`Record`](crate::record::Record), and ends no training; the last one is tried for a minute,
    /// and then training has failed (P-24).
    // R-34, P-25
    pub fn checkpoints(mut self, folder: impl Into<PathBuf>, steps: u64, keep: usize) -> Self {
        let folder = folder.into();
        self.list.push(Entry::Checkpoints(Checkpoints { folder, steps, keep }));
        self
    }

    /// Calls a closure every `steps` updates, with the chief's session: for evaluation and the
    /// like. It runs between two updates.
    // R-35
    pub fn every<F>(self, steps: u64, call: F) -> Self
    where
        F: FnMut(&mut ChiefSession<T>, &StepReport) -> Result<(), BoxError> + Send + 'static,
    {
        self.hook(Every { steps: steps.max(1), call })
    }

    /// Evaluates the newest variables every `steps` updates; the result is logged at `info`.
    pub fn evaluate(
        self,
        steps: u64,
        name: &'static str,
        mut evaluate: impl FnMut(&crate::Variables<T>) -> f64 + Send + 'static,
    ) -> Self {
        self.every(steps, move |chief, report| {
            let value = evaluate(&chief.snapshot().variables);
            tracing::info!(step = report.global_step, name, value, "evaluation");
            Ok(())
        })
    }

    /// Reports progress on standard error, about once a second.
    pub fn progress(self) -> Self {
        let mut last = Instant::now();
        let mut updates = 0_u64;
        self.every(1, move |chief, report| {
            updates += 1;
            let passed = last.elapsed();
            if passed >= Duration::from_secs(1) {
                let rate = updates as f64 / passed.as_secs_f64();
                let loss = report.loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}"));
                let stale = chief.totals().stale;
                let line = format!(
                    "step {}: loss {loss}, {rate:.0} updates/s, {stale} stale\n",
                    report.global_step
                );
                // When this fails there is no reader, and training goes on.
                let _ = std::io::stderr().write_all(line.as_bytes());
                (last, updates) = (Instant::now(), 0);
            }
            Ok(())
        })
    }

    /// Reports every `steps`-th update to a tracker: its mean loss, and the rest of its report.
    ///
    /// A tracker that fails ends no training; the log says so once.
    // R-34, P-29
    pub fn tracker(self, steps: u64, tracker: impl Tracker + 'static) -> Self {
        self.hook(SummarySaver::every(steps.max(1), tracker))
    }

    /// Writes every `steps`-th update into a folder that `tensorboard --logdir` shows.
    ///
    /// To show more, use [`tracker`](Self::tracker) with your own [`TensorBoard`].
    ///
    /// # Errors
    /// Whatever keeps the file from being created.
    // R-34, P-29
    pub fn tensorboard(self, folder: impl AsRef<Path>, steps: u64) -> std::io::Result<Self> {
        Ok(self.tracker(steps, TensorBoard::create(folder)?))
    }

    /// Appends a JSON line for every update to a file: [`JsonLines`].
    ///
    /// # Errors
    /// Whatever keeps the file from being opened.
    // R-34
    pub fn metrics(self, path: impl AsRef<Path>) -> std::io::Result<Self> {
        Ok(self.tracker(1, JsonLines::append(path)?))
    }
}

impl<T: Scalar> Entry<T> {
    fn into_hook(self, shared: &Arc<Shared<T>>) -> Box<dyn Hook<ChiefSession<T>>> {
        match self {
            Self::Hook(hook) => hook,
            Self::StopAtStep(step) => Box::new(StopAtStep::last_step(step)),
            Self::NanGuard => Box::new(NanGuard::new()),
            Self::Checkpoints(checkpoints) => Box::new(Saving::new(checkpoints, shared)),
        }
    }
}

struct Every<F> {
    steps: u64,
    call: F,
}

impl<T, F> Hook<ChiefSession<T>> for Every<F>
where
    T: Scalar,
    F: FnMut(&mut ChiefSession<T>, &StepReport) -> Result<(), BoxError> + Send,
{
    /// Where the closure was written.
    fn name(&self) -> &str {
        let closure = std::any::type_name::<F>();
        closure.strip_suffix("::{{closure}}").unwrap_or(closure)
    }

    fn after_run(
        &mut self,
        session: &mut ChiefSession<T>,
        _: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        if report.global_step.unsigned_abs().is_multiple_of(self.steps) {
            (self.call)(session, report).map_err(Failure::Fatal)?;
        }
        Ok(())
    }
}
