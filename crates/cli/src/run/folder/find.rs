//! The meaning of a path after `--resume`: a run folder, a folder of checkpoints, or one
//! checkpoint.

use std::path::{Path, PathBuf};

use sync_replicas::checkpoint::{self, CheckpointError};

use super::files::CHECKPOINTS;
use super::run_file::RunFile;
use crate::error::Error;

/// What was found there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A run, by its folder or by that of its checkpoints.
    Run { root: PathBuf, checkpoints: PathBuf },
    /// Checkpoints without a known run folder.
    Checkpoints(PathBuf),
    /// One of them.
    One(PathBuf),
}

impl Place {
    /// Looks at a path.
    ///
    /// # Errors
    /// [`CheckpointError::NotFound`] when there is no checkpoint.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        if path.join("manifest.json").is_file() {
            return Ok(Self::One(path.to_owned()));
        }
        let place = if let Some(run) = RunFile::read(path)? {
            Self::Run { root: path.to_owned(), checkpoints: run.checkpoints_of(path) }
        } else if path.join(CHECKPOINTS).is_dir() {
            // Of a version that left no file.
            Self::Run { root: path.to_owned(), checkpoints: path.join(CHECKPOINTS) }
        } else {
            Self::of_checkpoints(path)?
        };
        match checkpoint::latest(place.checkpoints())? {
            Some(_) => Ok(place),
            None => Err(CheckpointError::NotFound { path: path.to_owned() }.into()),
        }
    }

    fn of_checkpoints(path: &Path) -> Result<Self, Error> {
        let alone = Self::Checkpoints(path.to_owned());
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let Some(parent) = absolute.parent() else { return Ok(alone) };
        // As it was given, so that messages show what was typed.
        let root = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let run = RunFile::read(parent)?;
        let own = run.is_some_and(|run| same(&run.checkpoints_of(parent), path));
        if own { Ok(Self::Run { root, checkpoints: path.to_owned() }) } else { Ok(alone) }
    }

    /// The folder with the checkpoints, or the one checkpoint.
    pub(super) fn checkpoints(&self) -> &Path {
        match self {
            Self::Run { checkpoints: path, .. } | Self::Checkpoints(path) | Self::One(path) => path,
        }
    }
}

/// Whether two paths lead to the same folder.
pub(super) fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
