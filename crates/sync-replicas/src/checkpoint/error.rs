//! What can be wrong with a checkpoint; a call that fails with one of these has loaded nothing.

use std::io;
use std::path::PathBuf;

use engine::Generation;

/// Why a checkpoint was not written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file system refused.
    #[error("{action} {} failed", path.display())]
    Io {
        /// The attempted operation.
        action: &'static str,
        /// Its path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another save into the same folder does not end.
    #[error(
        "another save into {} has not ended for {waited:?}; see what holds it up, or save into \
         another folder",
        path.display()
    )]
    Busy {
        /// The folder.
        path: PathBuf,
        /// How long this one waited for it.
        waited: std::time::Duration,
    },
    /// There is no checkpoint here.
    #[error(
        "no checkpoint in {}: expected a folder `checkpoint-STEP` with a manifest.json",
        path.display()
    )]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The bytes are not those that were written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// How the damage shows.
        what: String,
    },
    /// It holds what its file format cannot express.
    #[error(
        "{} cannot be written: {what}; use fewer or shorter names of variables",
        path.display()
    )]
    Unwritable {
        /// The checkpoint.
        path: PathBuf,
        /// The reason.
        what: String,
    },
    /// None of a folder's checkpoints can be read.
    #[error(
        "no checkpoint in {} is good: {}; take one from a copy, or begin anew in another folder",
        path.display(), what.join("; ")
    )]
    NoneGood {
        /// The folder.
        path: PathBuf,
        /// What is wrong with each, the newest first.
        what: Vec<String>,
    },
    /// The folder belongs to another run.
    #[error(
        "{} is of another run: its checkpoints are kept, and this run's need another folder; or \
         go on from it",
        path.display()
    )]
    OtherRun {
        /// One of its checkpoints.
        path: PathBuf,
    },
    /// Another process has gone on from the folder.
    #[error(
        "another process has gone on from {} since: it is in {claimed}, and this \
         training, in {own}, saves nothing more there; go on from its newest checkpoint",
        path.display()
    )]
    Replaced {
        /// The folder.
        path: PathBuf,
        /// The newest generation there.
        claimed: Generation,
        /// This training's.
        own: Generation,
    },
    /// It was written by a version unknown to this one.
    #[error(
        "{} has format {got}, but this version reads formats up to {expected}; use a newer one",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The newest readable format.
        expected: u32,
        /// Its format.
        got: u32,
    },
    /// There is no state of one step to write.
    #[error("nothing was saved, and older checkpoints are untouched: {source}")]
    Torn {
        /// What became of an update.
        #[from]
        source: crate::store::Torn,
    },
    /// It belongs to another model or optimizer.
    #[error("the checkpoint does not fit this run: {what}")]
    Mismatch {
        /// What was expected and what it holds.
        what: String,
    },
}

impl CheckpointError {
    /// Whether the bytes are at fault, so that an older checkpoint may help.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    /// Of another run, in the words of an error that knows no checkpoint.
    pub(crate) fn mismatch(error: impl std::fmt::Display) -> Self {
        Self::Mismatch { what: error.to_string() }
    }

    pub(super) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
