//! Saves the session's state every n steps and at the end.
//!
//! It decides when to save; the saver decides how. Invariant: nothing is saved while the latest
//! known loss is not finite, so that the last good checkpoint stays the last.

use std::fmt;

use super::every::Every;
use crate::{BoxError, Coordinator, Failure, Hook, RunContext, Session, StepReport};

/// Where a session's state is saved; any `FnMut(&mut S, i64) -> Result<(), BoxError>` is one.
pub trait Saver<S: ?Sized>: Send {
    /// Saves the state of `session`, which is at global step `step`.
    ///
    /// # Errors
    /// Whatever kept it from being saved; the run then fails.
    fn save(&mut self, session: &mut S, step: i64) -> Result<(), BoxError>;
}

impl<S: ?Sized, F> Saver<S> for F
where
    F: FnMut(&mut S, i64) -> Result<(), BoxError> + Send,
{
    fn save(&mut self, session: &mut S, step: i64) -> Result<(), BoxError> {
        self(session, step)
    }
}

/// Saves checkpoints.
///
/// Steps are counted from where the session started. At a clean end the state is saved unless it
/// was just saved; a failed run leaves what there was.
///
/// # Examples
/// ```
/// use hooks::{BoxError, CheckpointSaver, RunError, Session, StepReport};
///
/// struct Counter(i64);
///
/// impl Session for Counter {
///     fn run(&mut self) -> Result<StepReport, RunError> {
///         self.0 += 1;
///         Ok(StepReport::new(self.0))
///     }
///     fn global_step(&self) -> i64 {
///         self.0
///     }
///     fn close(&mut self) {}
/// }
///
/// let mut saved = Vec::new();
/// let save = |_: &mut Counter, step: i64| -> Result<(), BoxError> { Ok(saved.push(step)) };
/// hooks::MonitoredSession::builder(|_| Ok(Counter(0)))
///     .hook(CheckpointSaver::every(2, save))
///     .hook(hooks::StopAtStep::last_step(5))
///     .start()?
///     .run_until_stopped()?;
/// assert_eq!(saved, [2, 4, 5]);
/// # Ok::<(), hooks::SessionError>(())
/// ```
// R-34
pub struct CheckpointSaver<'a, S: ?Sized> {
    every: Option<Every>,
    saver: Box<dyn Saver<S> + 'a>,
    saved: Option<i64>,
    /// The last loss was not finite.
    not_finite: bool,
}

impl<S: ?Sized> fmt::Debug for CheckpointSaver<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointSaver")
            .field("every", &self.every)
            .field("saved", &self.saved)
            .finish_non_exhaustive()
    }
}

impl<'a, S: ?Sized> CheckpointSaver<'a, S> {
    /// Saves every `steps` steps and at the end.
    pub fn every(steps: u64, saver: impl Saver<S> + 'a) -> Self {
        Self { every: Some(Every::new(steps)), ..Self::at_end(saver) }
    }

    /// Saves at the end only.
    pub fn at_end(saver: impl Saver<S> + 'a) -> Self {
        Self { every: None, saver: Box::new(saver), saved: None, not_finite: false }
    }

    fn save(&mut self, session: &mut S, step: i64) -> Result<(), Failure> {
        if let Some(every) = &mut self.every {
            every.mark(step);
        }
        self.saver.save(session, step)?;
        self.saved = Some(step);
        Ok(())
    }
}

impl<S: Session + ?Sized> Hook<S> for CheckpointSaver<'_, S> {
    fn name(&self) -> &str {
        "saving a checkpoint"
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.every.as_ref().map_or(Ok(()), Every::check)
    }

    fn after_create_session(&mut self, session: &mut S, _: &Coordinator) -> Result<(), Failure> {
        (self.saved, self.not_finite) = (None, false);
        if let Some(every) = &mut self.every {
            every.mark(session.global_step());
        }
        Ok(())
    }

    fn after_run(
        &mut self,
        session: &mut S,
        _: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        // Looked at here too: a guard that comes later in the list has not spoken yet.
        self.not_finite = report.loss.map_or(self.not_finite, |loss| !loss.is_finite());
        let step = report.global_step;
        if self.not_finite || !self.every.as_ref().is_some_and(|every| every.is_due(step)) {
            return Ok(());
        }
        self.save(session, step)
    }

    fn end(&mut self, session: &mut S) -> Result<(), Failure> {
        let step = session.global_step();
        if self.not_finite || self.saved == Some(step) {
            return Ok(());
        }
        self.save(session, step)
    }
}
