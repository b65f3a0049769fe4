//! The five calls that a hook can answer.
//!
//! A hook extends a session from outside. It holds no lock between calls and is never called by
//! two threads at once.

mod call;
mod context;

pub use self::call::HookCall;
pub use self::context::RunContext;
use crate::{Coordinator, Failure, Session, StepReport};

/// Code that runs at fixed points of a session's life.
///
/// The order of calls is `begin`, then for every session created `after_create_session`, then
/// around every step `before_run` and `after_run`, then on a clean end `end`. Several hooks are
/// called in the order in which they were given.
///
/// # Examples
/// ```
/// use hooks::{Failure, Hook, RunContext, Session, StepReport};
///
/// struct Patience(u32);
///
/// impl<S: Session + ?Sized> Hook<S> for Patience {
///     fn after_run(&mut self, _: &mut S, context: &RunContext<'_>, report: &StepReport)
///         -> Result<(), Failure>
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
// R-30
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
    fn begin(&mut self) -> Result<(), Failure> {
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
    ) -> Result<(), Failure> {
        let _ = (session, coordinator);
        Ok(())
    }

    /// Called before each step, and again before a step that is retried.
    ///
    /// # Errors
    /// A recoverable one has the session created again, another one ends the run.
    fn before_run(&mut self, session: &mut S, context: &RunContext<'_>) -> Result<(), Failure> {
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
    ) -> Result<(), Failure> {
        let _ = (session, context, report);
        Ok(())
    }

    /// Called once when the run ended without a failed step, while the session still lives.
    ///
    /// # Errors
    /// The later hooks still have their turn; closing returns the first error.
    fn end(&mut self, session: &mut S) -> Result<(), Failure> {
        let _ = session;
        Ok(())
    }
}

impl<S: Session + ?Sized, H: Hook<S> + ?Sized> Hook<S> for Box<H> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn begin(&mut self) -> Result<(), Failure> {
        (**self).begin()
    }

    fn after_create_session(
        &mut self,
        session: &mut S,
        coordinator: &Coordinator,
    ) -> Result<(), Failure> {
        (**self).after_create_session(session, coordinator)
    }

    fn before_run(&mut self, session: &mut S, context: &RunContext<'_>) -> Result<(), Failure> {
        (**self).before_run(session, context)
    }

    fn after_run(
        &mut self,
        session: &mut S,
        context: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        (**self).after_run(session, context, report)
    }

    fn end(&mut self, session: &mut S) -> Result<(), Failure> {
        (**self).end(session)
    }
}
