//! The two kinds of failure, whether of a hook, a step, or a session's creation.

use crate::{BoxError, SharedError};

/// A failure, by what the driver does next.
//
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The session is lost but a new one may work: it is created again and the step retried.
    #[error("the session was lost and can be created again")]
    Recoverable(#[source] BoxError),
    /// The run cannot go on.
    #[error(transparent)]
    Fatal(#[from] BoxError),
}

impl Failure {
    /// A loss of the session that a new session may mend.
    pub fn recoverable(cause: impl Into<BoxError>) -> Self {
        Self::Recoverable(cause.into())
    }

    /// An error that ends the run.
    pub fn fatal(cause: impl Into<BoxError>) -> Self {
        Self::Fatal(cause.into())
    }

    pub(crate) fn into_cause(self) -> SharedError {
        let (Self::Recoverable(cause) | Self::Fatal(cause)) = self;
        cause.into()
    }
}
