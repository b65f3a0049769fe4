//! The disk of checkpoints, with a point after each operation that counts.

use std::io;
use std::path::{Path, PathBuf};

use sync_replicas::Scalar;
use sync_replicas::checkpoint::CheckpointError;
use sync_replicas::checkpoint::{
    Disk, RowsToSave, SavedTable, SystemDisk, TrainingState, write_on, write_rows_on,
};
use sync_replicas::store::TableSaves;

use super::plan::reach_on_disk as reach;

/// Writes a checkpoint as usual.
///
/// # Errors
/// [`CheckpointError`].
pub(crate) fn write_checkpoint<T: Scalar>(
    folder: &Path,
    state: &TrainingState<T>,
    rows: RowsToSave<T>,
    keep: usize,
) -> Result<PathBuf, CheckpointError> {
    write_on(&mut CrashingDisk, folder, state, rows, keep)
}

/// Writes a server's rows of a checkpoint as usual.
///
/// # Errors
/// [`CheckpointError`].
pub(crate) fn write_rows<T: Scalar>(
    folder: &Path,
    aside: &str,
    rows: TableSaves<T>,
    writer: usize,
) -> Result<Vec<SavedTable>, CheckpointError> {
    let written = write_rows_on(&mut SystemDisk, folder, aside, rows, writer)?;
    let full = |source| CheckpointError::Io { action: "writing", path: folder.join(aside), source };
    reach("server/rows-written").map_err(full)?;
    Ok(written)
}

struct CrashingDisk;

impl Disk for CrashingDisk {
    fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        SystemDisk.create_folder(path)
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        SystemDisk.write(path, bytes)?;
        if !is_manifest(path) {
            return reach("checkpoint/tensors-written");
        }
        Ok(())
    }

    fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_file(path)?;
        if is_manifest(path) {
            return reach("checkpoint/files-synced");
        }
        Ok(())
    }

    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(path)?;
        let aside = ends_with(path, ".new");
        reach(if aside { "checkpoint/folder-synced" } else { "checkpoint/published" })
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)?;
        // Others make way for it.
        if ends_with(from, ".new") {
            return reach("checkpoint/renamed");
        }
        Ok(())
    }

    fn remove_folder(&mut self, path: &Path) -> io::Result<()> {
        SystemDisk.remove_folder(path)
    }
}

fn is_manifest(path: &Path) -> bool {
    ends_with(path, "manifest.json")
}

fn ends_with(path: &Path, end: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(end))
}
