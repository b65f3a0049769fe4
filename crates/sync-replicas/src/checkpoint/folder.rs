//! Writing a checkpoint: aside, synced, renamed; then old ones of the same run are removed.
//!
//! A crash between any two file operations leaves the old checkpoints as they were; but one that
//! another of the same step replaces lies aside, as `.NAME.old`, between two renames. One process
//! writes at a time: the names aside are the same for all.

use std::fs;
use std::path::{Path, PathBuf};

use accum_core::GlobalStep;

use super::bytes::serialize;
use super::disk::{Disk, SystemDisk, write_synced};
use super::file_entry::FileEntry;
use super::listing::{Entry, PREFIX, list};
use super::manifest::{MANIFEST, Manifest, TENSORS};
use super::tables::{SavedTable, SavedTables, write_tables};
use super::turn::Turn;
use super::{CheckpointError, TrainingState, claim};
use crate::Scalar;
use crate::store::TableSaves;

/// How many bytes a checkpoint has on the disk; unreadable files count as none.
#[must_use]
pub fn size_on_disk(checkpoint: &Path) -> u64 {
    let files = fs::read_dir(checkpoint).into_iter().flatten();
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}

/// Writes a checkpoint into `folder`, which is made if need be, and removes the oldest ones of the
/// same run beyond `keep`; the new one stays in any case. Returns its path. The rows of a state
/// that was read come with it.
///
/// Other saves into the folder, from this process or another, take turns.
///
/// # Errors
/// [`CheckpointError`]; the checkpoints that were there are untouched. A folder of another run is
/// refused, as is one from which a later generation has gone on (P-24).
pub fn write<T: Scalar>(
    folder: &Path,
    state: &TrainingState<T>,
    keep: usize,
) -> Result<PathBuf, CheckpointError> {
    write_on(&mut SystemDisk, folder, state, RowsToSave::AsRead, keep)
}

/// The same with the rows of tables, written piece by piece without a second copy of them.
///
/// # Errors
/// As [`write()`].
pub fn write_with_rows<T: Scalar>(
    folder: &Path,
    state: &TrainingState<T>,
    rows: RowsToSave<T>,
    keep: usize,
) -> Result<PathBuf, CheckpointError> {
    write_on(&mut SystemDisk, folder, state, rows, keep)
}

/// Rows of tables for a checkpoint.
#[derive(Debug)]
pub enum RowsToSave<T: Scalar> {
    /// Those of the checkpoint that the state was read from, if it was read.
    AsRead,
    /// All rows are this writer's.
    Own(TableSaves<T>),
    /// Others have written them, into a folder beside the checkpoint's place: its name, and what
    /// each of them has written ([`write_rows`]).
    Written(String, Vec<Vec<SavedTable>>),
}

/// A unique name for a folder beside the place of a checkpoint, into which rows are written first.
#[must_use]
pub fn aside_name(step: GlobalStep, attempt: &str) -> String {
    format!(".{PREFIX}{:09}.{attempt}.new", step.get())
}

/// Writes one writer's rows of all tables into such a folder, for
/// [`RowsToSave::Written`]; what it has written.
///
/// # Errors
/// [`CheckpointError`].
pub fn write_rows<T: Scalar>(
    folder: &Path,
    aside: &str,
    tables: TableSaves<T>,
    writer: usize,
) -> Result<Vec<SavedTable>, CheckpointError> {
    write_rows_on(&mut SystemDisk, folder, aside, tables, writer)
}

/// [`write_rows`], on a disk that may be a test's.
///
/// # Errors
/// As [`write_rows`].
pub fn write_rows_on<T: Scalar>(
    disk: &mut impl Disk,
    folder: &Path,
    aside: &str,
    mut tables: TableSaves<T>,
    writer: usize,
) -> Result<Vec<SavedTable>, CheckpointError> {
    let plain = aside.starts_with('.') && aside.ends_with(".new") && !aside.contains(['/', '\\']);
    let aside = folder.join(aside);
    if !plain {
        let what = "expected the name of a folder beside a checkpoint".to_owned();
        return Err(CheckpointError::Unwritable { path: aside, what });
    }
    disk.create_folder(&aside).map_err(CheckpointError::io("making the folder", &aside))?;
    let written = write_tables(disk, &aside, &mut tables, writer)?;
    sync_folder(disk, &aside)?;
    Ok(written)
}

/// [`write()`], on a disk that may be a test's.
///
/// # Errors
/// As [`write()`].
pub fn write_on<T: Scalar>(
    disk: &mut impl Disk,
    folder: &Path,
    state: &TrainingState<T>,
    rows: RowsToSave<T>,
    keep: usize,
) -> Result<PathBuf, CheckpointError> {
    disk.create_folder(folder).map_err(CheckpointError::io("making the folder", folder))?;
    let _turn = Turn::wait(folder)?;
    refuse_another_run(folder, state)?;
    claim::raise(folder, state.generation)?;
    let name = format!("{PREFIX}{:09}", state.global_step.get());
    let aside = match &rows {
        RowsToSave::Written(aside, _) => folder.join(aside),
        _ => folder.join(format!(".{name}.new")),
    };
    let place = folder.join(&name);
    let by_others = matches!(rows, RowsToSave::Written(..));
    remove_leftovers(disk, folder, by_others.then_some(&*aside))?;
    // What others have written is there, or nowhere.
    if !by_others {
        disk.create_folder(&aside).map_err(CheckpointError::io("making the folder", &aside))?;
    }
    let (mut numbers, tensors) = state.split();
    numbers.tables = match rows {
        RowsToSave::AsRead => state.tables.clone().copy_to(disk, &aside)?,
        RowsToSave::Own(mut tables) => write_tables(disk, &aside, &mut tables, 0)?,
        RowsToSave::Written(_, written) => together(&aside, written)?,
    };
    let bytes = serialize(&tensors, &place)?;
    let files = vec![FileEntry::of(TENSORS, &bytes)];
    let manifest = Manifest::new(state.run, T::DTYPE.to_string(), files, numbers);
    let json = manifest.to_json().map_err(|error| CheckpointError::Unwritable {
        path: place.clone(),
        what: error.to_string(),
    })?;
    write_synced(disk, &aside.join(TENSORS), &bytes)?;
    write_synced(disk, &aside.join(MANIFEST), &json)?;
    sync_folder(disk, &aside)?;
    // It may have taken long.
    refuse_if_replaced(folder, state)?;
    publish(disk, folder, &name, &aside)?;
    rotate(disk, folder, state, &place, keep)?;
    tracing::info!(path = %place.display(), "checkpoint written");
    Ok(place)
}

/// What several writers have written into a folder, where all of it must be: a writer may have
/// another folder of that name.
fn together(
    aside: &Path,
    written: Vec<Vec<SavedTable>>,
) -> Result<Vec<SavedTable>, CheckpointError> {
    let unwritable = |what| CheckpointError::Unwritable { path: aside.to_owned(), what };
    let tables = SavedTable::together(written).map_err(|error| unwritable(error.to_string()))?;
    let tables = SavedTables { folder: aside.to_owned(), tables };
    tables.verify(false).map_err(|error| {
        unwritable(format!("all servers need one and the same folder of checkpoints: {error}"))
    })?;
    Ok(tables.tables)
}

/// Discards what was written aside for an abandoned checkpoint.
///
/// # Errors
/// [`CheckpointError::Io`].
pub fn discard_rows(folder: &Path, aside: &str) -> Result<(), CheckpointError> {
    remove_if_there(&mut SystemDisk, &folder.join(aside))
}

/// P-24: a folder of checkpoints belongs to one run, and to the newest of its lives.
fn refuse_another_run<T: Scalar>(
    folder: &Path,
    state: &TrainingState<T>,
) -> Result<(), CheckpointError> {
    let Some(own) = state.run else { return refuse_if_replaced(folder, state) };
    let others = |entry: &Entry| {
        entry.head.as_ref().is_ok_and(|head| head.run.is_some_and(|run| run != own))
    };
    match list(folder)?.into_iter().find(others) {
        Some(entry) => Err(CheckpointError::OtherRun { path: entry.path }),
        None => refuse_if_replaced(folder, state),
    }
}

fn refuse_if_replaced<T: Scalar>(
    folder: &Path,
    state: &TrainingState<T>,
) -> Result<(), CheckpointError> {
    let (claimed, own) = (claim::newest_generation(folder)?, state.generation);
    if claimed <= own {
        return Ok(());
    }
    Err(CheckpointError::Replaced { path: folder.to_owned(), claimed, own })
}

/// Removes what a process that died while writing has left: there is no other writer now.
fn remove_leftovers(
    disk: &mut impl Disk,
    folder: &Path,
    own: Option<&Path>,
) -> Result<(), CheckpointError> {
    let listed = fs::read_dir(folder).map_err(CheckpointError::io("listing", folder))?;
    for entry in listed {
        let path = entry.map_err(CheckpointError::io("listing", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let middle = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
        let is_own = own == Some(&*path);
        if middle.is_some_and(|name| name.starts_with(PREFIX) && !is_own) {
            remove_if_there(disk, &path)?;
        }
    }
    Ok(())
}

/// Moves what was written aside and synced into its place: from now on it is the newest.
fn publish(
    disk: &mut impl Disk,
    folder: &Path,
    name: &str,
    aside: &Path,
) -> Result<(), CheckpointError> {
    let place = folder.join(name);
    // The same step again, after a restore: the new one takes the old one's place.
    let old = folder.join(format!(".{name}.old"));
    if place.exists() {
        discard(disk, folder, &old)?;
        disk.rename(&place, &old).map_err(CheckpointError::io("moving", &place))?;
    }
    if let Err(error) = disk.rename(aside, &place) {
        // The old one goes back, if there was one; the first error is what the caller must know.
        let _ = disk.rename(&old, &place);
        return Err(CheckpointError::io("moving", aside)(error));
    }
    sync_folder(disk, folder)?;
    discard(disk, folder, &old)
}

/// Removes the oldest checkpoints beyond `keep`, the one at `place` first among those that stay.
/// One that cannot be read, or is another run's, is not ours to remove.
fn rotate<T: Scalar>(
    disk: &mut impl Disk,
    folder: &Path,
    state: &TrainingState<T>,
    place: &Path,
    keep: usize,
) -> Result<(), CheckpointError> {
    let own = |entry: &Entry| {
        let head = entry.head.as_ref();
        head.is_ok_and(|head| head.run.is_none_or(|run| Some(run) == state.run))
    };
    let others = list(folder)?.into_iter().filter(|entry| own(entry) && entry.path != place);
    for surplus in others.skip(keep.saturating_sub(1)) {
        discard(disk, folder, &surplus.path)?;
    }
    Ok(())
}

/// Removes a checkpoint, if it is there: first its name, so that a crash among its files leaves
/// none that looks damaged or is never removed. It is a leftover for the next write.
fn discard(disk: &mut impl Disk, folder: &Path, checkpoint: &Path) -> Result<(), CheckpointError> {
    if !checkpoint.exists() {
        return Ok(());
    }
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    let gone = folder.join(format!(".{}.gone.new", name.trim_start_matches('.')));
    disk.rename(checkpoint, &gone).map_err(CheckpointError::io("moving", checkpoint))?;
    sync_folder(disk, folder)?;
    remove_if_there(disk, &gone)
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
