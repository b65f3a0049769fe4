//! Reading a checkpoint: the newest good one of a folder, or a given one.
//!
//! A damaged one is skipped, with a warning, for the one before it; one that is merely out of reach
//! (a permission, a failing disk, a newer format) is an error, since the newest may be good.

use std::fs;
use std::path::{Path, PathBuf};

use super::bytes::{join, tensors_of};
use super::file_entry::{check_length, missing_or_unreadable};
use super::listing::list;
use super::manifest::{MANIFEST, Manifest, TENSORS};
use super::{CheckpointError, RunId, SavedTables, TrainingState};
use crate::Scalar;
use crate::stored::Stored;

/// Reads a checkpoint: a `checkpoint-STEP` folder, or the newest good one in `path`.
///
/// # Errors
/// [`CheckpointError::NotFound`], or [`CheckpointError::Damaged`] when a single bit of it differs
/// from what was written; of a folder [`CheckpointError::NoneGood`] when that holds for all in it.
pub fn read<T: Scalar>(path: &Path) -> Result<TrainingState<T>, CheckpointError> {
    read_or_open(path, true)
}

/// The same without reading the rows of its tables: for callers that need few of them
/// ([`SavedTables::lookup`](super::SavedTables::lookup)).
///
/// # Errors
/// As [`read`].
pub fn open<T: Scalar>(path: &Path) -> Result<TrainingState<T>, CheckpointError> {
    read_or_open(path, false)
}

fn read_or_open<T: Scalar>(path: &Path, rows: bool) -> Result<TrainingState<T>, CheckpointError> {
    if path.join(MANIFEST).exists() {
        return read_one(path, rows);
    }
    let found = newest_good(path, rows, |_| Ok(()))?;
    let found = found.ok_or_else(|| CheckpointError::NotFound { path: path.to_owned() })?;
    Ok(found.1)
}

/// The newest good checkpoint of a folder and its path, for the process that goes on from it and
/// owns it. Damaged ones are renamed to `checkpoint-STEP.damaged`, so that they are read once.
///
/// # Errors
/// As [`read`], except that a folder without a checkpoint gives none.
pub fn recover<T: Scalar>(
    folder: &Path,
) -> Result<Option<(PathBuf, TrainingState<T>)>, CheckpointError> {
    newest_good(folder, true, rename_damaged)
}

/// The newest checkpoint in a folder, if any; it may turn out to be damaged.
///
/// # Errors
/// [`CheckpointError::Io`] when the folder or a manifest in it cannot be read.
pub fn latest(folder: &Path) -> Result<Option<PathBuf>, CheckpointError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let (good, bad): (Vec<_>, Vec<_>) =
        list(folder)?.into_iter().partition(|entry| entry.head.is_ok());
    Ok(good.into_iter().chain(bad).next().map(|entry| entry.path))
}

/// The run of the newest checkpoint in a folder, if it names one.
///
/// # Errors
/// As [`latest`].
pub fn newest_run(folder: &Path) -> Result<Option<RunId>, CheckpointError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    Ok(list(folder)?.into_iter().find_map(|entry| entry.head.ok()).and_then(|head| head.run))
}

/// Whether the numbers of a checkpoint, or of the newest good manifest in a folder, are `f64`.
///
/// # Errors
/// [`CheckpointError::NotFound`], and as [`read`].
pub fn has_f64(path: &Path) -> Result<bool, CheckpointError> {
    let newest = match path.join(MANIFEST).exists() {
        true => Some(path.to_owned()),
        false => latest(path)?,
    };
    let newest = newest.ok_or_else(|| CheckpointError::NotFound { path: path.to_owned() })?;
    let manifest = Manifest::read(&newest.join(MANIFEST))?;
    Ok(manifest.dtype == f64::DTYPE.to_string())
}

/// The tables of a checkpoint by its name, in this folder; nothing else of it is read.
///
/// # Errors
/// [`CheckpointError`]: it is not there, or damaged.
pub fn tables_of(folder: &Path, checkpoint: &str) -> Result<SavedTables, CheckpointError> {
    let folder = folder.join(checkpoint);
    let manifest = Manifest::read(&folder.join(MANIFEST))?;
    Ok(SavedTables { folder, tables: manifest.numbers.tables })
}

/// What was trained according to the newest checkpoint in a folder, if it says so.
///
/// # Errors
/// As [`latest`].
pub fn newest_definition(folder: &Path) -> Result<Option<serde_json::Value>, CheckpointError> {
    let Some(newest) = latest(folder)? else { return Ok(None) };
    Ok(Manifest::read(&newest.join(MANIFEST))?.numbers.definition)
}

/// All checkpoints in a folder, the oldest first, whose manifests are good.
///
/// # Errors
/// As [`latest`].
pub fn all(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let good = list(folder)?.into_iter().rev().filter(|entry| entry.head.is_ok());
    Ok(good.map(|entry| entry.path).collect())
}

/// Renames a checkpoint so that no reader finds it.
fn rename_damaged(path: &Path) -> Result<(), CheckpointError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let named = |n: u32| match n {
        0 => path.with_file_name(format!("{name}.damaged")),
        n => path.with_file_name(format!("{name}.damaged-{n}")),
    };
    let free = (0..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(0));
    fs::rename(path, &free).map_err(CheckpointError::io("renaming", path))
}

fn newest_good<T: Scalar>(
    folder: &Path,
    rows: bool,
    pass_over: impl Fn(&Path) -> Result<(), CheckpointError>,
) -> Result<Option<(PathBuf, TrainingState<T>)>, CheckpointError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut damaged: Vec<(PathBuf, CheckpointError)> = Vec::new();
    let mut good = None;
    for entry in list(folder)? {
        match entry.head.and_then(|_| read_one(&entry.path, rows)) {
            Ok(state) => {
                good = Some((entry.path, state));
                break;
            }
            // Rotation has removed it since it was listed; the next one is as new.
            Err(_) if !entry.path.is_dir() => {}
            Err(error) if error.is_damage() => damaged.push((entry.path, error)),
            Err(error) => return Err(error),
        }
    }
    let Some((instead, _)) = &good else { return none_good(folder, damaged) };
    for (path, error) in damaged {
        tracing::warn!("{error}; {} is taken instead", instead.display());
        pass_over(&path)?;
    }
    Ok(good)
}

/// No checkpoint is readable: there is none, or all are damaged.
fn none_good<S>(
    folder: &Path,
    mut damaged: Vec<(PathBuf, CheckpointError)>,
) -> Result<Option<S>, CheckpointError> {
    if damaged.len() > 1 {
        let what = damaged.iter().map(|(_, error)| error.to_string()).collect();
        return Err(CheckpointError::NoneGood { path: folder.to_owned(), what });
    }
    damaged.pop().map_or(Ok(None), |(_, error)| Err(error))
}

/// One checkpoint; with `rows` every byte of its tables is also checked.
fn read_one<T: Scalar>(folder: &Path, rows: bool) -> Result<TrainingState<T>, CheckpointError> {
    let manifest = Manifest::read(&folder.join(MANIFEST))?;
    let path = folder.join(TENSORS);
    let unreadable = |error| missing_or_unreadable(error, &path);
    // Before it is read: a file of another length is not worth the memory.
    let length = fs::metadata(&path).map_err(unreadable)?.len();
    check_length(tensors_of(&manifest, &path)?, length, &path)?;
    let bytes = fs::read(&path).map_err(unreadable)?;
    let state: TrainingState<T> = join(manifest, &bytes, &path)?;
    state.tables.verify(rows)?;
    Ok(state)
}
