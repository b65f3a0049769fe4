//! A monitored session: hooks are called around it, it is created again when lost, and its end is
//! orderly.
//!
//! It starts no thread and computes nothing. Invariant: hooks see the calls of [`Hook`] in that
//! order, whatever fails, and closing returns the first real error.

mod builder;
mod error;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub use self::builder::Builder;
pub use self::error::SessionError;
use self::error::Unfinished;
use crate::{
    Coordinator, Failure, Hook, HookCall, JoinError, RunContext, RunError, RunningHook, Session,
    SharedError, StepReport,
};

type Create<'h, S> = dyn FnMut(&Coordinator) -> Result<S, RunError> + Send + 'h;

/// A session with hooks, a coordinator, and recovery.
///
/// Driven by `&mut self`, from whichever thread holds it: it is `Send` when `S` is. `S` and the
/// hooks may borrow for `'h`.
///
/// # Examples
/// ```
/// use hooks::{MonitoredSession, RunError, Session, StepReport};
///
/// struct Countdown(i64);
///
/// impl Session for Countdown {
///     fn run(&mut self) -> Result<StepReport, RunError> {
///         if self.0 == 3 {
///             return Err(RunError::EndOfInput);
///         }
///         self.0 += 1;
///         Ok(StepReport::new(self.0))
///     }
///     fn global_step(&self) -> i64 {
///         self.0
///     }
///     fn close(&mut self) {}
/// }
///
/// let mut session = MonitoredSession::builder(|_| Ok(Countdown(0))).start()?;
/// while !session.should_stop() {
///     session.run()?;
/// }
/// session.close()?;
/// assert_eq!(session.session().map(|countdown| countdown.0), Some(3));
/// # Ok::<(), hooks::SessionError>(())
/// ```
// R-30
pub struct MonitoredSession<'h, S: Session> {
    create: Box<Create<'h, S>>,
    hooks: Vec<Box<dyn Hook<S> + 'h>>,
    running: RunningHook,
    coordinator: Coordinator,
    grace: Duration,
    max_recoveries: u32,
    /// Losses since a step was last completed.
    losses: u32,
    session: Option<S>,
    phase: Phase,
}

/// Where in its life a monitored session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Steps can be run.
    Open,
    /// The caller was told, or could have seen, that no further step is needed.
    Ended,
    /// A step or the start failed or panicked: the hooks' `end` is not called.
    Failed,
    /// Closed.
    Closed,
}

impl<'h, S: Session> MonitoredSession<'h, S> {
    /// Starts the builder of a session that `create` makes, first and after each loss.
    ///
    /// `create` is given the coordinator so that a wait in it can end at a stop.
    pub fn builder(
        create: impl FnMut(&Coordinator) -> Result<S, RunError> + Send + 'h,
    ) -> Builder<'h, S> {
        Builder::new(Box::new(create))
    }

    /// Runs one step with the hooks around it; `None` when the run came to a clean end instead.
    ///
    /// A lost session is created again and the step retried. An error that a background thread
    /// reported does not fail this call: [`should_stop`](Self::should_stop) turns true and
    /// [`close`](Self::close) returns the error. A recoverable one creates the session again.
    ///
    /// # Errors
    /// That of the step, of a hook, or of creating the session again; and
    /// [`SessionError::RunAfterStop`] when the stop had been requested before the previous call
    /// returned.
    pub fn run(&mut self) -> Result<Option<StepReport>, SessionError> {
        match self.phase {
            Phase::Open => {}
            Phase::Closed => return Err(SessionError::Closed),
            Phase::Ended | Phase::Failed => {
                let asked = self.coordinator.stop_reason();
                let reason = asked.unwrap_or_else(|| "an earlier step failed".to_owned());
                return Err(SessionError::RunAfterStop { reason });
            }
        }
        // What a panic of the session or of a hook leaves behind; no `end` sees half a step.
        self.phase = Phase::Failed;
        match self.run_until_done() {
            Ok(Some(report)) => {
                self.phase = Phase::Open;
                self.note_stop();
                Ok(Some(report))
            }
            Ok(None) => {
                self.phase = Phase::Ended;
                self.coordinator.request_stop("the run came to its end");
                Ok(None)
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Whether the loop around [`run`](Self::run) is over.
    ///
    /// A lost session is no reason to stop: the next run creates it again.
    pub fn should_stop(&self) -> bool {
        self.phase != Phase::Open || self.coordinator.is_ending()
    }

    /// Runs steps until there is a stop, closes, and returns the last step's report.
    ///
    /// # Errors
    /// The first real error of the whole run, whatever its source.
    pub fn run_until_stopped(&mut self) -> Result<Option<StepReport>, SessionError> {
        let mut last = None;
        while !self.should_stop() {
            match self.run() {
                Ok(Some(report)) => last = Some(report),
                Ok(None) => break,
                Err(error) => {
                    self.close()?;
                    return Err(error);
                }
            }
        }
        self.close()?;
        Ok(last)
    }

    /// Ends the run: the hooks' `end` if no step failed, then the session, then the threads.
    ///
    /// Closing again does nothing. An error of a background thread does not keep the hooks'
    /// `end` from being called: the steps themselves went well.
    ///
    /// # Errors
    /// The first real error of the run, even if [`run`](Self::run) already returned it; otherwise
    /// the threads that did not end within the grace period.
    pub fn close(&mut self) -> Result<(), SessionError> {
        if self.phase == Phase::Closed {
            return Ok(());
        }
        if self.phase != Phase::Failed {
            self.end_hooks();
        }
        self.phase = Phase::Closed;
        self.coordinator.request_stop("the session was closed");
        if let Some(session) = &mut self.session {
            session.close();
        }
        match self.coordinator.join(self.grace) {
            Ok(()) => Ok(()),
            Err(JoinError::Failed(_)) if !self.coordinator.failed() => Ok(()),
            Err(JoinError::Failed(error)) => Err(SessionError::from_shared(error)),
            Err(still_running) => Err(SessionError::Join(still_running)),
        }
    }

    /// The session, unless it was lost for good; still there after closing.
    pub fn session(&self) -> Option<&S> {
        self.session.as_ref()
    }

    /// Which hook is running, for other threads.
    pub fn running_hook(&self) -> RunningHook {
        self.running.clone()
    }

    /// The coordinator of this run: the same one over all recoveries.
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// Calls `begin` and creates the first session; on failure everything is closed again.
    fn start_up(mut self) -> Result<Self, SessionError> {
        let started = self.begin().and_then(|()| self.establish());
        match started {
            Ok(true) => self.note_stop(),
            Ok(false) => self.phase = Phase::Ended,
            Err(error) => {
                self.fail(&error);
                self.close()?;
                return Err(error);
            }
        }
        Ok(self)
    }

    fn begin(&mut self) -> Result<(), SessionError> {
        for (place, hook) in self.hooks.iter_mut().enumerate() {
            self.running.begin(place);
            let begun = hook.begin();
            self.running.end();
            begun
                .map_err(|it| SessionError::hook(hook.name(), HookCall::Begin, it.into_cause()))?;
        }
        Ok(())
    }

    /// Retries a step until it is done, fails, or gives way to a clean end.
    fn run_until_done(&mut self) -> Result<Option<StepReport>, SessionError> {
        loop {
            let failure = match self.coordinator.interruption() {
                Some(reported) => Unfinished::Lost(reported),
                None => match self.step() {
                    Ok(report) => {
                        self.losses = 0;
                        return Ok(Some(report));
                    }
                    Err(failure) => failure,
                },
            };
            // A loss that a thread reported explains whatever the step said after it.
            let lost = match (self.coordinator.interruption(), failure) {
                (Some(reported), _) => reported,
                (None, Unfinished::Lost(error)) => error,
                (None, Unfinished::CleanEnd) => return Ok(None),
                (None, Unfinished::Fatal(error)) => return Err(error),
            };
            if self.coordinator.is_ending() {
                return Ok(None);
            }
            self.count_loss(&lost)?;
            self.discard()?;
            if !self.establish()? || self.coordinator.is_ending() {
                return Ok(None);
            }
        }
    }

    /// One attempt at a step, with the hooks around it.
    fn step(&mut self) -> Result<StepReport, Unfinished> {
        let Self { session: Some(session), hooks, running, coordinator, .. } = self else {
            return Err(Unfinished::CleanEnd);
        };
        let context = RunContext::new(coordinator);
        let before = HookCall::BeforeRun;
        each((hooks, running), before, |hook| hook.before_run(session, &context))?;
        let report =
            session.run().map_err(|error| Unfinished::of_run(error, SessionError::Step))?;
        let after = HookCall::AfterRun;
        each((hooks, running), after, |hook| hook.after_run(session, &context, &report))?;
        Ok(report)
    }

    /// Creates a session, again when it is lost at once; `false` when a stop came first.
    fn establish(&mut self) -> Result<bool, SessionError> {
        loop {
            let lost = match self.create_once() {
                Ok(()) => return Ok(true),
                Err(Unfinished::CleanEnd) => return Ok(false),
                Err(Unfinished::Fatal(error)) => return Err(error),
                Err(Unfinished::Lost(error)) => error,
            };
            if self.coordinator.is_ending() {
                return Ok(false);
            }
            self.count_loss(&lost)?;
            self.discard()?;
        }
    }

    fn create_once(&mut self) -> Result<(), Unfinished> {
        let created = (self.create)(&self.coordinator);
        let session = created.map_err(|error| Unfinished::of_run(error, SessionError::Create))?;
        let session = self.session.insert(session);
        let coordinator = &self.coordinator;
        let hooks = (&mut self.hooks[..], &self.running);
        each(hooks, HookCall::AfterCreateSession, |hook| {
            hook.after_create_session(session, coordinator)
        })
    }

    /// Ends what is left of a lost session: its waiters, its threads, itself.
    fn discard(&mut self) -> Result<(), SessionError> {
        self.coordinator.begin_recycle();
        if let Some(mut session) = self.session.take() {
            session.close();
        }
        self.coordinator.finish_recycle(self.grace).map_err(SessionError::Join)
    }

    /// Bounds the losses without a completed step between them, so that no run spins for ever.
    fn count_loss(&mut self, lost: &SharedError) -> Result<(), SessionError> {
        if self.losses == self.max_recoveries {
            let (recoveries, source) = (self.losses, SharedError::clone(lost));
            return Err(SessionError::RecoveryLimit { recoveries, source });
        }
        self.losses += 1;
        tracing::info!(error = %lost, attempt = self.losses, "session lost; creating it again");
        Ok(())
    }

    /// Calls every hook's `end`; errors go where the first one wins.
    fn end_hooks(&mut self) {
        let Self { session: Some(session), hooks, running, coordinator, .. } = self else { return };
        for (place, hook) in hooks.iter_mut().enumerate() {
            running.begin(place);
            let ended = hook.end(session);
            running.end();
            if let Err(failure) = ended {
                let source = failure.into_cause();
                let error = SessionError::hook(hook.name(), HookCall::End, source);
                coordinator.request_stop_with_error(error);
            }
        }
    }

    /// The caller can see a stop requested by now before the next run.
    fn note_stop(&mut self) {
        if self.coordinator.stop_reason().is_some() {
            self.phase = Phase::Ended;
        }
    }

    fn fail(&mut self, error: &SessionError) {
        self.phase = Phase::Failed;
        self.coordinator.request_stop_with_error(error.clone());
    }
}

impl<S: Session> Drop for MonitoredSession<'_, S> {
    /// Requests a stop and closes the session; joins no thread and calls no hook.
    fn drop(&mut self) {
        if self.phase == Phase::Closed {
            return;
        }
        self.coordinator.request_stop("the monitored session was dropped");
        if let Some(session) = &mut self.session {
            // A panic here could be the second one, which would abort the process.
            let _ = catch_unwind(AssertUnwindSafe(|| session.close()));
        }
    }
}

impl<S: Session> fmt::Debug for MonitoredSession<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.hooks.iter().map(|hook| hook.name()).collect();
        f.debug_struct("MonitoredSession")
            .field("phase", &self.phase)
            .field("hooks", &names)
            .field("coordinator", &self.coordinator)
            .finish_non_exhaustive()
    }
}

/// Makes one call to every hook in order, until one fails.
fn each<'h, S: Session>(
    (hooks, running): (&mut [Box<dyn Hook<S> + 'h>], &RunningHook),
    call: HookCall,
    mut body: impl FnMut(&mut (dyn Hook<S> + 'h)) -> Result<(), Failure>,
) -> Result<(), Unfinished> {
    for (place, hook) in hooks.iter_mut().enumerate() {
        running.begin(place);
        let called = body(&mut **hook);
        running.end();
        called.map_err(|failure| {
            Unfinished::of(failure, |source| SessionError::hook(hook.name(), call, source))
        })?;
    }
    Ok(())
}
