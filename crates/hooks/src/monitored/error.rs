//! What can go wrong with a monitored session, and how its causes are sorted.
//!
//! The error is `Clone`: the caller of a failed run and the caller of the close that follows get
//! the same error.

use crate::{Failure, HookCall, JoinError, RunError, SharedError};

/// Why a monitored session could not start, run, or close.
//
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A hook failed.
    #[error("{hook} in {call}: {source}")]
    Hook {
        /// The hook's name.
        hook: String,
        /// The call it failed in.
        call: HookCall,
        /// The hook's error.
        source: SharedError,
    },
    /// The session could not be created.
    #[error("the session could not be created: {0}")]
    Create(#[source] SharedError),
    /// A step failed.
    #[error("the step failed: {0}")]
    Step(#[source] SharedError),
    /// A thread under the coordinator failed.
    #[error("a background thread failed: {0}")]
    Background(#[source] SharedError),
    /// The session was lost again and again, with no step completed in between.
    #[error("the session was lost again after {recoveries} recoveries in a row: {source}")]
    RecoveryLimit {
        /// How many recoveries were allowed.
        recoveries: u32,
        /// The last loss.
        source: SharedError,
    },
    /// Threads under the coordinator did not end.
    #[error(transparent)]
    Join(JoinError),
    /// A step was requested after the run had ended.
    #[error("run called after the run ended ({reason}); look at should_stop() before each run")]
    RunAfterStop {
        /// Why it ended.
        reason: String,
    },
    /// A step was requested after closing.
    #[error("run called on a closed session; start a new one")]
    Closed,
}

impl SessionError {
    pub(super) fn hook(name: &str, call: HookCall, source: SharedError) -> Self {
        Self::Hook { hook: name.to_owned(), call, source }
    }

    /// The coordinator's first error, in this session's terms.
    pub(super) fn from_shared(error: SharedError) -> Self {
        match error.downcast_ref::<Self>() {
            Some(own) => own.clone(),
            None => Self::Background(error),
        }
    }
}

/// Why an attempt at a step, or at a session, came to nothing.
pub(super) enum Unfinished {
    /// End of input, or a stop obeyed.
    CleanEnd,
    /// A new session may mend it.
    Lost(SharedError),
    /// The run has failed.
    Fatal(SessionError),
}

impl Unfinished {
    pub(super) fn of_run(error: RunError, place: fn(SharedError) -> SessionError) -> Self {
        match error {
            RunError::EndOfInput | RunError::Stopped => Self::CleanEnd,
            RunError::Failed(failure) => Self::of(failure, place),
        }
    }

    /// Of a failure at a place that `place` names.
    pub(super) fn of(failure: Failure, place: impl FnOnce(SharedError) -> SessionError) -> Self {
        match failure {
            Failure::Recoverable(cause) => Self::Lost(cause.into()),
            Failure::Fatal(cause) => Self::Fatal(place(cause.into())),
        }
    }
}
