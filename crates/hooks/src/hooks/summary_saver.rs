//! Passes each step's report to a tracker.
//!
//! The tracker decides where it goes. Invariant: a tracker that fails, as on a full disk, ends no
//! run: the log says so once.

use std::fmt;

use super::every::Every;
use crate::{At, BoxError, Coordinator, Failure, Hook, RunContext, Session, StepReport, Tracker};

/// Tracks reports: the first after each start, then one every n steps.
///
/// The loss is the scalar `loss`, and the others have their own names.
///
/// # Examples
/// ```
/// # let folder = tempfile::tempdir()?;
/// let saver = hooks::SummarySaver::every(10, hooks::TensorBoard::create(&folder)?);
/// # drop(saver);
/// # Ok::<(), std::io::Error>(())
/// ```
// R-34, P-29
pub struct SummarySaver<'a> {
    every: Every,
    tracker: Box<dyn Tracker + 'a>,
    told: bool,
}

impl fmt::Debug for SummarySaver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SummarySaver").field("every", &self.every).finish_non_exhaustive()
    }
}

impl<'a> SummarySaver<'a> {
    /// Tracks every `steps` steps.
    pub fn every(steps: u64, tracker: impl Tracker + 'a) -> Self {
        Self { every: Every::new(steps), tracker: Box::new(tracker), told: false }
    }

    fn look(&mut self, done: Result<(), BoxError>) {
        if let Err(error) = done
            && !self.told
        {
            self.told = true;
            tracing::warn!(%error, "the run is not tracked as asked, and goes on");
        }
    }
}

impl<S: Session + ?Sized> Hook<S> for SummarySaver<'_> {
    fn name(&self) -> &str {
        "tracking the run"
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.every.check()
    }

    fn after_create_session(&mut self, session: &mut S, _: &Coordinator) -> Result<(), Failure> {
        self.every.clear();
        let done = self.tracker.restored(session.global_step());
        self.look(done);
        Ok(())
    }

    fn after_run(
        &mut self,
        _: &mut S,
        _: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        let step = report.global_step;
        if self.every.last().is_some_and(|last| step <= last) {
            // The session itself has gone back.
            let done = self.tracker.restored(step.saturating_sub(1));
            self.look(done);
            self.every.clear();
        }
        if self.every.is_due(step) {
            let loss = report.loss.map(|loss| ("loss", loss));
            let others = report.scalars.iter().map(|(name, value)| (name.as_ref(), *value));
            let scalars: Vec<_> = loss.into_iter().chain(others).collect();
            let done = self.tracker.scalars(At::now(step), &scalars);
            self.look(done);
            self.every.mark(step);
        }
        Ok(())
    }

    fn end(&mut self, _: &mut S) -> Result<(), Failure> {
        let done = self.tracker.finish();
        self.look(done);
        Ok(())
    }
}
