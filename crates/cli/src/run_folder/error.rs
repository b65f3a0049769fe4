//! Why a run folder cannot be used.

use std::io;
use std::path::PathBuf;

use cluster::exit::Exit;
use sync_replicas::checkpoint::CheckpointError;

/// Why a run folder cannot be used. Training has not begun, and nothing was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system does not let it be written.
    #[error("the run folder {} cannot be written: {source}", path.display())]
    Write {
        /// The folder or the file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What it says of its run cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An earlier run is there.
    #[error(
        "{} already has a checkpoint ({newest}); give another folder, or continue it with \
         --resume {}",
        path.display(), path.display()
    )]
    Used {
        /// The folder.
        path: PathBuf,
        /// The newest checkpoint's name.
        newest: String,
    },
    /// An earlier run's record is there, and its checkpoints are elsewhere or gone.
    #[error(
        "{} has the metrics.jsonl of an earlier run; give another folder, or continue that run \
         with --resume",
        path.display()
    )]
    Metrics {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes into it.
    #[error(
        "{} is in use by {by}; wait for it, end it, or give another folder",
        path.display()
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// Who has it.
        by: String,
    },
    /// The checkpoint is at or past the end that was asked for.
    #[error(
        "nothing is left to train: the checkpoint is at update {at}, and --updates is {updates}; \
         give a larger number"
    )]
    NothingLeft {
        /// The checkpoint's global step.
        at: i64,
        /// The end asked for.
        updates: u64,
    },
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl FolderError {
    /// The exit status of the program: that of a run that failed for a disk that did, which may be
    /// mended by itself; else the same command would be refused again.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Checkpoint(CheckpointError::Io { .. } | CheckpointError::Busy { .. }) => {
                Exit::Failed
            }
            _ => Exit::Usage,
        }
    }
}
