//! Checkpoints as folders: written aside, synced, renamed; the newest found; old ones removed.
//!
//! A crash between any two file operations leaves the old checkpoints as they were; but one that is
//! replaced by another of its own step lies aside, as `.NAME.old`, between two renames. One writes
//! at a time: the names aside are the same for all.

use std::fs;
use std::path::{Path, PathBuf};

use super::bytes::{MANIFEST, TENSORS, check_length, join, serialize};
use super::disk::{Disk, SystemDisk};
use super::manifest::{FORMAT, Manifest, sha256_hex};
use super::turn::Turn;
use super::{CheckpointError, TrainingState};
use crate::Scalar;

const PREFIX: &str = "checkpoint-";

/// Writes a checkpoint into `folder`, which is made if need be, and removes the oldest ones beyond
/// `keep`; the new one stays in any case. Answers where it is.
///
/// Others that save into the folder meanwhile, from this process or another, take their turn.
///
/// # Errors
/// [`CheckpointError`]; the checkpoints that were there are untouched.
pub fn write<T: Scalar>(
    folder: &Path,
    state: &TrainingState<T>,
    keep: usize,
) -> Result<PathBuf, CheckpointError> {
    write_on(&mut SystemDisk, folder, state, keep)
}

/// [`write()`], on a disk that may be a test's.
///
/// # Errors
/// As [`write()`].
pub fn write_on<T: Scalar>(
    disk: &mut impl Disk,
    folder: &Path,
    state: &TrainingState<T>,
    keep: usize,
) -> Result<PathBuf, CheckpointError> {
    disk.create_folder(folder).map_err(CheckpointError::io("making the folder", folder))?;
    let _turn = Turn::wait(folder)?;
    let name = format!("{PREFIX}{:09}", state.global_step.get());
    let (aside, place) = (folder.join(format!(".{name}.new")), folder.join(&name));
    remove_if_there(disk, &aside)?;
    disk.create_folder(&aside).map_err(CheckpointError::io("making the folder", &aside))?;
    let (numbers, tensors) = state.split();
    let bytes = serialize(&tensors, &place)?;
    let manifest = Manifest {
        format: FORMAT,
        dtype: T::DTYPE.to_string(),
        tensors_sha256: sha256_hex(&bytes),
        tensors_bytes: bytes.len() as u64,
        numbers,
    };
    let json = manifest.to_json().map_err(|error| CheckpointError::Damaged {
        path: aside.join(MANIFEST),
        what: error.to_string(),
    })?;
    write_synced(disk, &aside.join(TENSORS), &bytes)?;
    write_synced(disk, &aside.join(MANIFEST), &json)?;
    sync_folder(disk, &aside)?;
    publish(disk, folder, &name)?;
    let others = list(folder)?.into_iter().rev().filter(|(_, path)| *path != place);
    for surplus in others.skip(keep.saturating_sub(1)) {
        remove_if_there(disk, &surplus.1)?;
    }
    tracing::info!(path = %place.display(), "checkpoint written");
    Ok(place)
}

/// Moves what was written aside and synced into its place: from now on it is the newest.
fn publish(disk: &mut impl Disk, folder: &Path, name: &str) -> Result<(), CheckpointError> {
    let (aside, place) = (folder.join(format!(".{name}.new")), folder.join(name));
    // The same step again, after a restore: the new one takes the old one's place.
    let old = folder.join(format!(".{name}.old"));
    if place.exists() {
        remove_if_there(disk, &old)?;
        disk.rename(&place, &old).map_err(CheckpointError::io("moving", &place))?;
    }
    if let Err(error) = disk.rename(&aside, &place) {
        // The old one goes back, if there was one; the first error is what the caller must know.
        let _ = disk.rename(&old, &place);
        return Err(CheckpointError::io("moving", &aside)(error));
    }
    sync_folder(disk, folder)?;
    remove_if_there(disk, &old)
}

/// Reads a checkpoint: a `checkpoint-STEP` folder, or the newest one in `path`.
///
/// # Errors
/// [`CheckpointError::NotFound`], or [`CheckpointError::Damaged`] when a single bit of it is not
/// what was written.
pub fn read<T: Scalar>(path: &Path) -> Result<TrainingState<T>, CheckpointError> {
    let folder = if path.join(MANIFEST).exists() {
        path.to_owned()
    } else {
        latest(path)?.ok_or_else(|| CheckpointError::NotFound { path: path.to_owned() })?
    };
    let manifest_path = folder.join(MANIFEST);
    let json = fs::read(&manifest_path).map_err(CheckpointError::io("reading", &manifest_path))?;
    let manifest = Manifest::from_json(&json, &manifest_path)?;
    let path = folder.join(TENSORS);
    // Before it is read: a file of another length is not worth the memory.
    let length = fs::metadata(&path).map_err(CheckpointError::io("reading", &path))?.len();
    check_length(&manifest, length, &path)?;
    let bytes = fs::read(&path).map_err(CheckpointError::io("reading", &path))?;
    join(manifest, &bytes, &path)
}

/// The newest checkpoint in a folder, if there is one.
///
/// # Errors
/// [`CheckpointError::Io`] when the folder cannot be listed.
pub fn latest(folder: &Path) -> Result<Option<PathBuf>, CheckpointError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    Ok(list(folder)?.pop().map(|(_, path)| path))
}

/// The checkpoints in a folder, oldest first.
pub(super) fn list(folder: &Path) -> Result<Vec<(i64, PathBuf)>, CheckpointError> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).map_err(CheckpointError::io("listing", folder))?;
    for entry in entries {
        let path = entry.map_err(CheckpointError::io("listing", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Of a crash between the two renames that replace a checkpoint, the old one is left aside.
        let aside = name.strip_prefix('.').and_then(|name| name.strip_suffix(".old"));
        let in_place = aside.is_none();
        let step = aside.unwrap_or(name).strip_prefix(PREFIX).and_then(|n| n.parse::<i64>().ok());
        let step = step.filter(|_| path.join(MANIFEST).exists());
        found.extend(step.map(|step| ((step, in_place), path)));
    }
    found.sort();
    found.dedup_by(|later, kept| {
        let same = later.0.0 == kept.0.0;
        if same {
            *kept = later.clone();
        }
        same
    });
    Ok(found.into_iter().map(|((step, _), path)| (step, path)).collect())
}

fn write_synced(disk: &mut impl Disk, path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    disk.write(path, bytes).map_err(CheckpointError::io("writing", path))?;
    disk.sync_file(path).map_err(CheckpointError::io("syncing", path))
}

/// A rename is safe on the medium only once its folder is synced.
pub(super) fn sync_folder(disk: &mut impl Disk, path: &Path) -> Result<(), CheckpointError> {
    disk.sync_folder(path).map_err(CheckpointError::io("syncing", path))
}

pub(super) fn remove_if_there(disk: &mut impl Disk, path: &Path) -> Result<(), CheckpointError> {
    if path.exists() {
        disk.remove_folder(path).map_err(CheckpointError::io("removing", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
