//! The chief's session: what hooks see at the front door, and what a monitored session drives.
//!
//! It holds no state of the training: a session that is created again goes on where the lost one
//! was, with the update that was under way.

use hooks::{RunError, Session, StepReport};

use super::chief::UpdateError;
use super::core::Closing;
use super::shared::Shared;
use super::snapshot::Snapshot;
use crate::sync::{Arc, Mutex, lock};
use crate::{Scalar, Variables};

/// One run is one update.
///
/// It is driven by whichever thread closes a step, so everything that a hook does here happens
/// between two updates: variables, optimizer and step belong together.
pub struct ChiefSession<T: Scalar> {
    pub(crate) shared: Arc<Shared<T>>,
    update: Arc<Mutex<Update<T>>>,
}

/// The update that the next run makes, or has made if a hook had the session created again after
/// it: it must be made once, however often the run is tried.
pub(crate) struct Update<T: Scalar> {
    closing: Option<Closing<T>>,
    made: Option<StepReport>,
}

impl<T: Scalar> Default for Update<T> {
    fn default() -> Self {
        Self { closing: None, made: None }
    }
}

impl<T: Scalar> ChiefSession<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>, update: Arc<Mutex<Update<T>>>) -> Self {
        Self { shared, update }
    }

    /// The variables as of now; with their step.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<T>> {
        self.shared.snapshot()
    }

    /// The moving averages, if they were asked for.
    #[must_use]
    pub fn averages(&self) -> Option<Variables<T>> {
        self.shared.averages()
    }

    /// The counters as of now (P-8).
    #[must_use]
    pub fn totals(&self) -> super::Totals {
        self.shared.totals()
    }

    /// Sets what the next run reports: an update that was made elsewhere.
    pub(crate) fn report(&self, made: StepReport) {
        *lock(&self.update) = Update { closing: None, made: Some(made) };
    }

    /// Applies lanes that do not make the step, outside of a run.
    pub(crate) fn apply(&self, closing: Closing<T>) -> Result<(), UpdateError> {
        self.shared.chief().apply(&self.shared, closing).map(drop)
    }

    /// Sets what the next run applies.
    pub(crate) fn prepare(&self, closing: Closing<T>) {
        let mut update = lock(&self.update);
        *update = Update { closing: Some(closing), made: None };
    }
}

impl<T: Scalar> Session for ChiefSession<T> {
    fn run(&mut self) -> Result<StepReport, RunError> {
        let mut update = lock(&self.update);
        if let Some(closing) = update.closing.take() {
            let made = self.shared.chief().apply(&self.shared, closing);
            update.made = made.map_err(RunError::fatal)?;
        }
        update.made.clone().ok_or(RunError::Stopped)
    }

    fn global_step(&self) -> i64 {
        self.shared.snapshot().global_step.get()
    }

    fn close(&mut self) {}
}
