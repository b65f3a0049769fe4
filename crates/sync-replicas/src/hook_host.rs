//! The host of a training's hooks: it calls them around updates, whatever makes these.
//!
//! It knows no trainer and no optimizer: an update is a closure, and hooks see a [`TrainingView`].
//! Invariant: an update is made once, however often its run is tried.

use std::fmt;

use hooks::{Hook, MonitoredSession, RunError, RunningHook, Session, SessionError, StepReport};

use crate::store::Totals;
use crate::sync::{Arc, Mutex, lock};
use crate::{Scalar, Snapshot, Variables};

/// What hooks see of a training.
pub trait TrainingView<T: Scalar>: Send + Sync {
    /// The newest variables with their step; one reference count, no copy.
    fn snapshot(&self) -> Arc<Snapshot<T>>;

    /// The variables with the moving averages in place of those that have one; `None` without
    /// averages.
    fn averages(&self) -> Option<Variables<T>>;

    /// The counters as of now.
    // P-8
    fn totals(&self) -> Totals;
}

/// Hooks in the form in which a [`HookHost`] runs them.
pub type BoxedHooks<T> = Vec<Box<dyn Hook<ChiefSession<T>>>>;

/// Runs the hooks of one training around its updates.
///
/// # Examples
/// Updates that consist of their reports alone, until a hook has seen enough:
/// ```
/// use std::sync::Arc;
///
/// use hooks::{StepReport, StopAtStep};
/// use sync_replicas::driver::{Generation, HookHost, TrainingView};
/// use sync_replicas::record::Totals;
/// use sync_replicas::{GlobalStep, Snapshot, Variables};
///
/// struct Unchanged(Arc<Snapshot<f32>>);
///
/// impl TrainingView<f32> for Unchanged {
///     fn snapshot(&self) -> Arc<Snapshot<f32>> {
///         Arc::clone(&self.0)
///     }
///     fn averages(&self) -> Option<Variables<f32>> {
///         None
///     }
///     fn totals(&self) -> Totals {
///         Totals::default()
///     }
/// }
///
/// let (global_step, generation) = (GlobalStep::new(0), Generation::new(1));
/// let snapshot = Snapshot { global_step, generation, variables: Variables::new() };
/// let view = Arc::new(Unchanged(Arc::new(snapshot)));
/// let host = HookHost::start(view, vec![Box::new(StopAtStep::last_step(2))])?;
/// assert_eq!(host.run(|| Ok(Some(StepReport::new(1))))?, None);
/// assert!(host.run(|| Ok(Some(StepReport::new(2))))?.is_some());
/// host.close()?;
/// # Ok::<(), hooks::SessionError>(())
/// ```
pub struct HookHost<T: Scalar> {
    monitored: Mutex<MonitoredSession<'static, ChiefSession<T>>>,
    update: Arc<Mutex<Update>>,
}

/// What hooks see, and what a monitored session drives: one run is one update.
///
/// Hooks run between two updates: variables, optimizer and step belong together. The session holds
/// no state of the training, so a session created again goes on where the lost one was, with the
/// update that was under way.
pub struct ChiefSession<T: Scalar> {
    view: Arc<dyn TrainingView<T>>,
    update: Arc<Mutex<Update>>,
}

/// The update that the next run makes, or has made if a hook had the session created again after
/// it.
// R-30
#[derive(Default)]
struct Update {
    due: Option<Box<MakeUpdate>>,
    made: Option<StepReport>,
}

/// Makes an update; no report if the training has begun another life since it was due.
type MakeUpdate = dyn FnOnce() -> Result<Option<StepReport>, RunError> + Send;

impl<T: Scalar> fmt::Debug for HookHost<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookHost").finish_non_exhaustive()
    }
}

impl<T: Scalar> fmt::Debug for ChiefSession<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChiefSession")
            .field("global_step", &self.view.snapshot().global_step)
            .finish_non_exhaustive()
    }
}

impl<T: Scalar> HookHost<T> {
    /// Starts the hooks of the training that `view` shows.
    ///
    /// # Errors
    /// [`SessionError`] when one of them cannot begin.
    pub fn start(
        view: Arc<dyn TrainingView<T>>,
        hooks: BoxedHooks<T>,
    ) -> Result<Self, SessionError> {
        let update = Arc::<Mutex<Update>>::default();
        let shared = Arc::clone(&update);
        let create =
            move |_: &_| Ok(ChiefSession { view: Arc::clone(&view), update: Arc::clone(&shared) });
        let monitored = Mutex::new(MonitoredSession::builder(create).hooks(hooks).start()?);
        Ok(Self { monitored, update })
    }

    /// Makes an update with the hooks around it; returns why training should end, if it should.
    ///
    /// # Errors
    /// [`SessionError`] when the update fails or one of the hooks does.
    pub fn run(
        &self,
        update: impl FnOnce() -> Result<Option<StepReport>, RunError> + Send + 'static,
    ) -> Result<Option<String>, SessionError> {
        *lock(&self.update) = Update { due: Some(Box::new(update)), made: None };
        lock(&self.monitored).run()?;
        Ok(self.stop_reason())
    }

    /// Why training should end, if it should.
    #[must_use]
    pub fn stop_reason(&self) -> Option<String> {
        let monitored = lock(&self.monitored);
        let reason = || monitored.coordinator().stop_reason().unwrap_or_default();
        monitored.should_stop().then(reason)
    }

    /// Which hook is running, for other threads.
    pub(crate) fn running_hook(&self) -> RunningHook {
        lock(&self.monitored).running_hook()
    }

    /// The end of training: hooks have their last turn.
    ///
    /// # Errors
    /// The first error of the whole run, as [`MonitoredSession::close`].
    pub fn close(&self) -> Result<(), SessionError> {
        lock(&self.monitored).close()
    }
}

impl<T: Scalar> ChiefSession<T> {
    /// The present variables, with their step.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<T>> {
        self.view.snapshot()
    }

    /// The moving averages, if requested.
    #[must_use]
    pub fn averages(&self) -> Option<Variables<T>> {
        self.view.averages()
    }

    /// The counters as of now.
    // P-8
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.view.totals()
    }
}

impl<T: Scalar> Session for ChiefSession<T> {
    fn run(&mut self) -> Result<StepReport, RunError> {
        let mut update = lock(&self.update);
        if let Some(make) = update.due.take() {
            update.made = make()?;
        }
        update.made.clone().ok_or(RunError::Stopped)
    }

    fn global_step(&self) -> i64 {
        self.view.snapshot().global_step.get()
    }

    fn close(&mut self) {}
}
