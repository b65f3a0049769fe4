//! `run.json`: the run of a folder, the place of its checkpoints, and its last start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sync_replicas::checkpoint::RunId;

use super::files::RUN;
use super::whole::{unwritable, write_whole};
use crate::error::Error;

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunFile {
    pub(super) run: RunId,
    /// Relative to the run folder, if it lies inside.
    pub(super) checkpoints: PathBuf,
    /// By the names of [`Settings::describe`](crate::settings::Settings::describe).
    pub(super) settings: BTreeMap<String, String>,
    /// The words of its last start, the program's own first.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// The checkpoint that it went on from at its last start.
    pub(super) resumed: Option<Resumed>,
}

/// A checkpoint and its update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resumed {
    /// Where it was.
    pub(crate) checkpoint: PathBuf,
    /// The updates before it.
    pub(crate) step: u64,
}

impl RunFile {
    /// That of a run folder; `None` if there is none.
    pub(super) fn read(root: &Path) -> Result<Option<Self>, Error> {
        let path = root.join(RUN);
        let file = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(io::Error::from),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
                _ => Err(error),
            },
        };
        file.map_err(|error| Error::usage(format!("{} cannot be read: {error}", path.display())))
    }

    /// Where the checkpoints of this run folder are.
    pub(super) fn checkpoints_of(&self, root: &Path) -> PathBuf {
        root.join(&self.checkpoints)
    }

    /// The file's name for a folder of checkpoints: a run folder can be moved with its contents.
    pub(super) fn name_of(root: &Path, checkpoints: &Path) -> PathBuf {
        match checkpoints.strip_prefix(root) {
            Ok(inside) => inside.to_owned(),
            Err(_) => std::path::absolute(checkpoints).unwrap_or_else(|_| checkpoints.to_owned()),
        }
    }

    /// Writes it.
    pub(super) fn write(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(RUN);
        let text =
            serde_json::to_string_pretty(self).map_err(|error| unwritable(&path, &error.into()))?;
        write_whole(&path, &format!("{text}\n"))
    }
}
