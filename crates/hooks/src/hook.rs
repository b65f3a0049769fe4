//! The five calls that a hook can answer, and what it is told in them.
//!
//! A hook extends a session from outside. It holds no lock between calls and is never called by
//! two threads at once.

use std::fmt;

use crate::{BoxError, Coordinator, Session, StepReport};

/// Code that runs at fixed points of a session's life (R-30).
///
/// The order of calls is `begin`, then for every session created `after_create_session`, then
/// around every step `before_run` and `after_run`, then on a clean end `end`. Several hooks are
/// called in the order in which they were given.
///
/// # Examples
/// ```
/// use hooks::{Hook, HookError, RunContext, Session, StepReport};
///
/// struct Patience(u32);
///
/// impl<S: Session + ?Sized> Hook<S> for Patience {
///     fn after_run(&mut self, _: &mut S, context: &RunContext<'_>, report: &StepReport)
///         -> Result<(), HookError>
///     {
///         if report.loss.is_some_and(|loss| loss > 1.0) {
///             self.0 = self.0.saturating_sub(1);
///         }
///         if self.0 == 0 {
///             context.request_stop("the loss does not fall");
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Hook<S: Session + ?Sized>: Send {
    /// The hook's name in errors, in a word or two; by default its type's own name, without path
    /// and parameters.
    fn name(&self) -> &str {
        let full = std::any::type_name::<Self>();
        let plain = full.split('<').next().unwrap_or(full);
        plain.rsplit("::").next().unwrap_or(plain)
    }

    /// Called once, before any session exists.
    ///
    /// # Errors
    /// Whatever makes the run impossible; no session is created then.
    fn begin(&mut self) -> Result<(), HookError> {
        Ok(())
    }

    /// Called each time a session was created, even to replace a lost one.
    ///
    /// Threads that serve this session are started here, under `coordinator`.
    ///
    /// # Errors
    /// A recoverable one has the session created again, another one ends the run.
    fn after_create_session(
        &mut self,
        session: &mut S,
        coordinator: &Coordinator,
    ) -> Result<(), HookError> {
        let _ = (session, coordinator);
        Ok(())
    }

    /// Called before each step, and again before a step that is retried.
    ///
    /// # Errors
    /// A recoverable one has the session created again, another one ends the run.
    fn before_run(&mut self, session: &mut S, context: &RunContext<'_>) -> Result<(), HookError> {
        let _ = (session, context);
        Ok(())
    }

    /// Called after each step that succeeded.
    ///
    /// # Errors
    /// A recoverable one has the session created again, another one ends the run.
    fn after_run(
        &mut self,
        session: &mut S,
        context: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), HookError> {
        let _ = (session, context, report);
        Ok(())
    }

    /// Called once when the run ended without a failed step, while the session still lives.
    ///
    /// # Errors
    /// The later hooks still have their turn; closing returns the first error.
    fn end(&mut self, session: &mut S) -> Result<(), HookError> {
        let _ = session;
        Ok(())
    }
}

impl<S: Session + ?Sized, H: Hook<S> + ?Sized> Hook<S> for Box<H> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn begin(&mut self) -> Result<(), HookError> {
        (**self).begin()
    }

    fn after_create_session(
        &mut self,
        session: &mut S,
        coordinator: &Coordinator,
    ) -> Result<(), HookError> {
        (**self).after_create_session(session, coordinator)
    }

    fn before_run(&mut self, session: &mut S, context: &RunContext<'_>) -> Result<(), HookError> {
        (**self).before_run(session, context)
    }

    fn after_run(
        &mut self,
        session: &mut S,
        context: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), HookError> {
        (**self).after_run(session, context, report)
    }

    fn end(&mut self, session: &mut S) -> Result<(), HookError> {
        (**self).end(session)
    }
}

/// What a hook can reach while a step is run.
#[derive(Clone, Copy, Debug)]
pub struct RunContext<'a> {
    coordinator: &'a Coordinator,
}

impl<'a> RunContext<'a> {
    /// A context over `coordinator`, for testing a hook by itself.
    pub fn new(coordinator: &'a Coordinator) -> Self {
        Self { coordinator }
    }

    /// Requests the end of the run after this step; the first reason given is kept.
    pub fn request_stop(&self, reason: impl Into<String>) {
        self.coordinator.request_stop(reason);
    }

    /// The coordinator of this run.
    pub fn coordinator(&self) -> &'a Coordinator {
        self.coordinator
    }
}

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// The session is lost but a new one may work: it is created again and the step retried.
    #[error("the session was lost and can be created again")]
    Recoverable(#[source] BoxError),
    /// The run cannot go on.
    #[error(transparent)]
    Failed(#[from] BoxError),
}

impl HookError {
    /// A loss of the session that a new session may mend.
    pub fn recoverable(cause: impl Into<BoxError>) -> Self {
        Self::Recoverable(cause.into())
    }

    /// An error that ends the run.
    pub fn failed(cause: impl Into<BoxError>) -> Self {
        Self::Failed(cause.into())
    }
}

/// Which of a hook's calls an error came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookCall {
    /// [`Hook::begin`].
    Begin,
    /// [`Hook::after_create_session`].
    AfterCreateSession,
    /// [`Hook::before_run`].
    BeforeRun,
    /// [`Hook::after_run`].
    AfterRun,
    /// [`Hook::end`].
    End,
}

impl fmt::Display for HookCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin => "begin",
            Self::AfterCreateSession => "after_create_session",
            Self::BeforeRun => "before_run",
            Self::AfterRun => "after_run",
            Self::End => "end",
        })
    }
}
