//! Why a training fails.

use cluster::exit::Exit;
use sync_replicas::FitError;
use sync_replicas::checkpoint::CheckpointError;

use crate::error::UsageError;
use crate::history::HistoryError;
use crate::run_folder::FolderError;

/// Why there is no trained model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Invalid options.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The run folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Training failed.
    #[error("{source}{advice}")]
    Fit {
        /// Why.
        source: FitError,
        /// Where the last good checkpoint is.
        advice: String,
    },
    /// A file of the run folder could not be written.
    #[error("writing metrics.jsonl failed: {0}")]
    Metrics(#[from] std::io::Error),
    /// What the run folder tells cannot be read back.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The model does not fit its variables.
    #[error(transparent)]
    Variables(#[from] sync_replicas::VariableError),
}

impl TrainError {
    /// The exit status of the program: whether anything was begun.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Folder(error) => error.exit(),
            Self::Usage(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}
