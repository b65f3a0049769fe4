//! The chief's hooks: they see the steps that its replica has heard of.
//!
//! The servers make the updates, so hooks run after them, not around them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hooks::{SessionError, StepReport};
use sync_replicas::driver::{BoxedHooks, Generation, HookHost, TrainingView};
use sync_replicas::record::Totals;
use sync_replicas::{GlobalStep, Scalar, Snapshot, Variables};

use crate::coordinator::StepMade;

/// What runs the hooks, and what they see.
pub(super) struct ChiefHooks<T: Scalar> {
    host: HookHost<T>,
    seen: Arc<LatestView<T>>,
}

/// The variables and counters of the newest step that hooks may see.
struct LatestView<T>(Mutex<(Arc<Snapshot<T>>, Totals)>);

impl<T: Scalar> ChiefHooks<T> {
    /// Starts the hooks of a training that begins with these variables.
    pub(super) fn start(
        hooks: BoxedHooks<T>,
        variables: Variables<T>,
    ) -> Result<Self, SessionError> {
        let (global_step, generation) = (GlobalStep::default(), Generation::new(1));
        let snapshot = Arc::new(Snapshot { global_step, generation, variables });
        let seen = Arc::new(LatestView(Mutex::new((snapshot, Totals::default()))));
        let view = Arc::clone(&seen);
        Ok(Self { host: HookHost::start(view, hooks)?, seen })
    }

    /// Runs the hooks for a step that was made, with this view; returns a reason to end training,
    /// if a hook has one.
    pub(super) fn run(
        &self,
        made: &StepMade,
        snapshot: Snapshot<T>,
    ) -> Result<Option<String>, SessionError> {
        *self.seen.lock() = (Arc::new(snapshot), made.totals);
        let mut report = StepReport::new(made.global_step.get())
            .with_scalar("gradients", made.gradients as f64)
            .with_scalar("examples", made.examples as f64);
        report.loss = made.loss;
        self.host.run(move || Ok(Some(report)))
    }

    /// The counters at the last step that hooks have seen.
    pub(super) fn totals(&self) -> Totals {
        self.seen.totals()
    }

    /// The end of training: hooks have their last turn.
    pub(super) fn close(&self) -> Result<(), SessionError> {
        self.host.close()
    }
}

impl<T: Scalar> LatestView<T> {
    fn lock(&self) -> MutexGuard<'_, (Arc<Snapshot<T>>, Totals)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Scalar> TrainingView<T> for LatestView<T> {
    fn snapshot(&self) -> Arc<Snapshot<T>> {
        Arc::clone(&self.lock().0)
    }

    fn averages(&self) -> Option<Variables<T>> {
        None
    }

    fn totals(&self) -> Totals {
        self.lock().1
    }
}
