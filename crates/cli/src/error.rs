//! Why a command fails: a sentence for its user, and the status that the program exits with.

mod usage;

use cluster::ClusterError;
use cluster::exit::Exit;
use cluster::security::{KeyError, TlsError};
use cluster::spec::SpecError;
use simulator::advice::AdviceError;
use sync_replicas::BoxError;
use sync_replicas::checkpoint::CheckpointError;
use sync_replicas::error::{BuildError, VariableError};
use tabular::data::DataError;

pub use usage::UsageError;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct Error {
    exit: Exit,
    source: BoxError,
}

impl Error {
    /// Ends the program with this status, for an error or in these words.
    pub(crate) fn new(exit: Exit, source: impl Into<BoxError>) -> Self {
        Self { exit, source: source.into() }
    }

    /// The command's input is wrong.
    pub fn usage(source: impl Into<BoxError>) -> Self {
        Self::new(Exit::Usage, source)
    }

    /// The command was right, and did not succeed.
    pub fn failed(source: impl Into<BoxError>) -> Self {
        Self::new(Exit::Failed, source)
    }

    /// The exit status of the program.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

/// Errors with the same status in every command.
macro_rules! exits {
    ($($error:ty => $exit:ident,)*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::new(Exit::$exit, error)
            }
        }
    )*};
}

exits! {
    AdviceError => Usage,
    BuildError => Usage,
    KeyError => Usage,
    SpecError => Usage,
    TlsError => Usage,
    UsageError => Usage,
    VariableError => Failed,
    cluster::StatusError => Failed,
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        UsageError::from(error).into()
    }
}

impl From<ClusterError> for Error {
    fn from(error: ClusterError) -> Self {
        Self::new(error.exit(), error)
    }
}

/// A disk may recover; with a bad checkpoint the same command would be refused again.
impl From<CheckpointError> for Error {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Io { .. } | CheckpointError::Busy { .. } => Self::failed(error),
            _ => Self::usage(error),
        }
    }
}
