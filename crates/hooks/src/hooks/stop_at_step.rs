//! Ends a run at a global step.
//!
//! It asks for the stop and leaves the ending to the session. Invariant: a session that starts
//! at or past the step runs none.

use crate::{Coordinator, Failure, Hook, RunContext, Session, StepReport};

/// Requests a stop once the global step is reached.
///
/// # Examples
/// ```
/// let until = hooks::StopAtStep::last_step(500);
/// let more = hooks::StopAtStep::num_steps(100);
/// ```
// R-34
#[derive(Clone, Debug)]
pub struct StopAtStep {
    limit: Limit,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// The global step to stop at.
    Last(i64),
    /// This many steps past the first session's start, which is not known yet.
    More(i64),
}

impl StopAtStep {
    /// Stops at this global step, wherever the run started.
    pub fn last_step(step: i64) -> Self {
        Self { limit: Limit::Last(step) }
    }

    /// Stops this many global steps after the one at which the first session started.
    ///
    /// A negative number is refused when the run begins.
    pub fn num_steps(steps: i64) -> Self {
        Self { limit: Limit::More(steps) }
    }

    fn look(&self, step: i64, coordinator: &Coordinator) {
        if matches!(self.limit, Limit::Last(last) if last <= step) {
            coordinator.request_stop(format!("global step {step} was reached"));
        }
    }
}

impl<S: Session + ?Sized> Hook<S> for StopAtStep {
    fn begin(&mut self) -> Result<(), Failure> {
        match self.limit {
            Limit::More(steps) if steps < 0 => Err(Failure::fatal(NegativeSteps { steps })),
            Limit::More(_) | Limit::Last(_) => Ok(()),
        }
    }

    fn after_create_session(
        &mut self,
        session: &mut S,
        coordinator: &Coordinator,
    ) -> Result<(), Failure> {
        let start = session.global_step();
        if let Limit::More(steps) = self.limit {
            // Saturating is right: no step past the largest number can be reached either.
            self.limit = Limit::Last(start.saturating_add(steps));
        }
        self.look(start, coordinator);
        Ok(())
    }

    fn after_run(
        &mut self,
        _: &mut S,
        context: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        self.look(report.global_step, context.coordinator());
        Ok(())
    }
}

/// The number of steps to run is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of steps of at least 0, got {steps}")]
#[non_exhaustive]
pub struct NegativeSteps {
    /// The given number.
    pub steps: i64,
}
