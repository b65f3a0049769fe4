//! How a session comes to life: the chief restores or initialises, the others wait for it.
//!
//! It owns no session: it makes one, brings it to readiness, and hands it over. Invariant: a
//! session that is handed over has no variable missing.

use std::fmt;
use std::time::Duration;

use crate::{BoxError, Coordinator, Readiness, RunError};

/// Where a chief looks for the state of an earlier run.
// R-32
pub trait Checkpoint<S: ?Sized>: Send {
    /// Restores the newest state into `session`; its global step, or `None` if there is none.
    ///
    /// # Errors
    /// Whatever keeps an existing state from being restored; the start then fails.
    fn restore_latest(&mut self, session: &mut S) -> Result<Option<i64>, BoxError>;
}

impl<S: ?Sized, F> Checkpoint<S> for F
where
    F: FnMut(&mut S) -> Result<Option<i64>, BoxError> + Send,
{
    fn restore_latest(&mut self, session: &mut S) -> Result<Option<i64>, BoxError> {
        self(session)
    }
}

type Make<'a, S> = dyn FnMut() -> Result<S, BoxError> + Send + 'a;
type Init<'a, S> = dyn FnMut(&mut S) -> Result<(), BoxError> + Send + 'a;
type Missing<'a, S> = dyn FnMut(&S) -> Vec<String> + Send + 'a;

/// Local initialisation cannot be given without the check that allows it, nor the check alone.
struct LocalInit<'a, S> {
    ready: Box<Missing<'a, S>>,
    init: Box<Init<'a, S>>,
}

/// Starts sessions: [`prepare_session`](Self::prepare_session) on the chief,
/// [`wait_for_session`](Self::wait_for_session) on the others.
///
/// # Examples
/// ```
/// use hooks::SessionManager;
///
/// let mut manager = SessionManager::new(|| Ok(Vec::new()))
///     .init(|weights: &mut Vec<f64>| Ok(weights.push(0.5)))
///     .ready(|weights| if weights.is_empty() { vec!["w".to_owned()] } else { Vec::new() });
/// let (session, restored) = manager.prepare_session()?;
/// assert_eq!((session, restored), (vec![0.5], None));
/// # Ok::<(), hooks::StartError>(())
/// ```
// R-32
pub struct SessionManager<'a, S> {
    make: Box<Make<'a, S>>,
    checkpoint: Option<Box<dyn Checkpoint<S> + 'a>>,
    init: Option<Box<Init<'a, S>>>,
    local_init: Option<LocalInit<'a, S>>,
    ready: Option<Box<Missing<'a, S>>>,
}

impl<S> fmt::Debug for SessionManager<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager").finish_non_exhaustive()
    }
}

impl<'a, S> SessionManager<'a, S> {
    /// A manager of sessions that `make` produces, not yet initialised.
    pub fn new(make: impl FnMut() -> Result<S, BoxError> + Send + 'a) -> Self {
        Self { make: Box::new(make), checkpoint: None, init: None, local_init: None, ready: None }
    }

    /// Restores from here when there is something to restore.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: impl Checkpoint<S> + 'a) -> Self {
        self.checkpoint = Some(Box::new(checkpoint));
        self
    }

    /// Initialises the shared variables if nothing was restored.
    #[must_use]
    pub fn init(mut self, init: impl FnMut(&mut S) -> Result<(), BoxError> + Send + 'a) -> Self {
        self.init = Some(Box::new(init));
        self
    }

    /// Initialises each process's local variables, once `ready` names nothing as missing.
    #[must_use]
    pub fn local_init(
        mut self,
        ready: impl FnMut(&S) -> Vec<String> + Send + 'a,
        init: impl FnMut(&mut S) -> Result<(), BoxError> + Send + 'a,
    ) -> Self {
        self.local_init = Some(LocalInit { ready: Box::new(ready), init: Box::new(init) });
        self
    }

    /// Names the variables that are not ready; none unless given.
    #[must_use]
    pub fn ready(mut self, ready: impl FnMut(&S) -> Vec<String> + Send + 'a) -> Self {
        self.ready = Some(Box::new(ready));
        self
    }

    /// The chief's start: restores, or otherwise initialises; the session and the restored step.
    ///
    /// # Errors
    /// [`StartError::NothingToStartFrom`] when there is neither a checkpoint nor an initialiser,
    /// [`StartError::NotReady`] when variables are missing afterwards, or the error of making,
    /// restoring or initialising.
    pub fn prepare_session(&mut self) -> Result<(S, Option<i64>), StartError> {
        let mut session = (self.make)().map_err(StartError::Make)?;
        let restored = self.restore(&mut session)?;
        if restored.is_none() {
            match (&mut self.init, &self.local_init) {
                (Some(init), _) => init(&mut session).map_err(StartError::Init)?,
                (None, Some(_)) => {}
                (None, None) => return Err(StartError::NothingToStartFrom),
            }
        }
        let missing = self.finish(&mut session)?;
        if missing.is_empty() {
            Ok((session, restored))
        } else {
            Err(StartError::NotReady { missing })
        }
    }

    /// Restores if possible and never initialises shared variables; whether all are ready.
    ///
    /// # Errors
    /// The error of making, restoring or initialising.
    pub fn recover_session(&mut self) -> Result<(S, bool), StartError> {
        let mut session = (self.make)().map_err(StartError::Make)?;
        let restored = self.restore(&mut session)?;
        let missing = self.finish(&mut session)?;
        Ok((session, restored.is_some() && missing.is_empty()))
    }

    /// The start on the others: waits for the chief to publish that the variables are ready.
    ///
    /// Wakes at once when the chief publishes and when `coordinator` stops.
    ///
    /// # Errors
    /// [`StartError::DeadlineExceeded`] naming the variables still missing after `timeout`,
    /// [`StartError::Stopped`], or the error of making or initialising.
    pub fn wait_for_session(
        &mut self,
        readiness: &Readiness,
        coordinator: &Coordinator,
        timeout: Duration,
    ) -> Result<S, StartError> {
        if !readiness.wait(coordinator, timeout) {
            if coordinator.should_stop() {
                return Err(StartError::Stopped);
            }
            return Err(StartError::DeadlineExceeded { missing: readiness.missing(), timeout });
        }
        let mut session = (self.make)().map_err(StartError::Make)?;
        let missing = self.finish(&mut session)?;
        if missing.is_empty() { Ok(session) } else { Err(StartError::NotReady { missing }) }
    }

    fn restore(&mut self, session: &mut S) -> Result<Option<i64>, StartError> {
        match &mut self.checkpoint {
            Some(checkpoint) => checkpoint.restore_latest(session).map_err(StartError::Restore),
            None => Ok(None),
        }
    }

    /// Local initialisation, if allowed, and the names of what is missing after it.
    fn finish(&mut self, session: &mut S) -> Result<Vec<String>, StartError> {
        if let Some(LocalInit { ready, init }) = &mut self.local_init {
            let missing = ready(session);
            if !missing.is_empty() {
                return Ok(missing);
            }
            init(session).map_err(StartError::LocalInit)?;
        }
        Ok(self.ready.as_mut().map(|ready| ready(session)).unwrap_or_default())
    }
}

/// Why a session did not come to life.
// R-32
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The session could not be made.
    #[error("the session could not be made: {0}")]
    Make(#[source] BoxError),
    /// There is a checkpoint but it could not be restored.
    #[error("the checkpoint could not be restored: {0}")]
    Restore(#[source] BoxError),
    /// Initialising the shared variables failed.
    #[error("initialising failed: {0}")]
    Init(#[source] BoxError),
    /// Initialising the local variables failed.
    #[error("local initialising failed: {0}")]
    LocalInit(#[source] BoxError),
    /// Neither a checkpoint nor an initialiser.
    #[error("nothing to start from: no checkpoint was found and no initialiser was given")]
    NothingToStartFrom,
    /// Variables are missing although the start went through.
    #[error("not ready after the start, uninitialised: {}", missing.join(", "))]
    NotReady {
        /// Their names.
        missing: Vec<String>,
    },
    /// Variables were still missing when the time was up.
    #[error(
        "not ready after waiting {timeout:?}, uninitialised: {}; is the chief running?",
        missing.join(", ")
    )]
    DeadlineExceeded {
        /// Their names.
        missing: Vec<String>,
        /// The timeout.
        timeout: Duration,
    },
    /// The coordinator stopped first.
    #[error("stopped before the variables were ready")]
    Stopped,
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Stopped => Self::Stopped,
            other => Self::fatal(other),
        }
    }
}
