//! The file operations that writing a checkpoint takes, so that a test can crash between any two.
//!
//! Reading is not here: a reader cannot tear anything.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::CheckpointError;
use crate::private_file::{create_private_file, create_private_folder};

/// What changes files and folders; a crash can come at each call.
#[allow(clippy::missing_errors_doc, reason = "each fails with what the system says")]
pub trait Disk {
    /// Makes a folder, and its missing parents.
    fn create_folder(&mut self, path: &Path) -> io::Result<()>;
    /// Writes a whole file, which may reach the medium only at [`Disk::sync_file`].
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Brings a file's bytes onto the medium.
    fn sync_file(&mut self, path: &Path) -> io::Result<()>;
    /// Brings a folder's names onto the medium: what was made, moved and removed in it.
    fn sync_folder(&mut self, path: &Path) -> io::Result<()>;
    /// Gives a folder another name in one step.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a folder and what is in it.
    fn remove_folder(&mut self, path: &Path) -> io::Result<()>;
}

/// The operating system's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        create_private_folder(path)
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        create_private_file(path)?.write_all(bytes)
    }

    fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        // Opened for writing, which Windows requires for a sync.
        File::options().write(true).open(path)?.sync_all()
    }

    /// Only on Unix can a folder be opened for this.
    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_folder(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }
}

/// Writes a whole file, and brings it onto the medium.
pub(super) fn write_synced(
    disk: &mut impl Disk,
    path: &Path,
    bytes: &[u8],
) -> Result<(), CheckpointError> {
    disk.write(path, bytes).map_err(CheckpointError::io("writing", path))?;
    disk.sync_file(path).map_err(CheckpointError::io("syncing", path))
}
