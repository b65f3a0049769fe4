//! The newest generation begun in a folder, in a file beside the checkpoints.
//!
//! A process that goes on from a folder claims a higher number than all before it, on disk and
//! before it serves any replica; an earlier writer that still lives sees so before its next rename,
//! and stops (P-9, P-24). A lock ends with its machine's network; this number does not.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use engine::Generation;

use super::CheckpointError;
use crate::private_file::{create_private_file, create_private_folder};

/// The file that holds the number.
const FILE: &str = "generation";

/// The newest generation that was begun in the folder; 0 where none was.
///
/// # Errors
/// [`CheckpointError::Io`] when the file cannot be read, or does not hold a number.
pub fn newest_generation(folder: &Path) -> Result<Generation, CheckpointError> {
    let path = folder.join(FILE);
    let known = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse::<u64>().map_err(|_| {
            let what = format!("it holds {text:?}, expected a number; remove it");
            io::Error::new(io::ErrorKind::InvalidData, what)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    };
    known.map(Generation::new).map_err(CheckpointError::io("reading", &path))
}

/// Takes the next generation's number for a new life of a run, on disk, and answers the one before
/// it: at least `after`, and at least what was claimed in the folder before.
///
/// # Errors
/// [`CheckpointError::Io`].
pub fn claim(folder: &Path, after: Generation) -> Result<Generation, CheckpointError> {
    let after = after.max(newest_generation(folder)?);
    put(folder, after.next())?;
    Ok(after)
}

/// Writes the number, if none that is as high is there.
pub(super) fn raise(folder: &Path, generation: Generation) -> Result<(), CheckpointError> {
    if newest_generation(folder)? < generation { put(folder, generation) } else { Ok(()) }
}

fn put(folder: &Path, generation: Generation) -> Result<(), CheckpointError> {
    let write = || {
        create_private_folder(folder)?;
        let aside = folder.join(".generation.new");
        let mut file = create_private_file(&aside)?;
        writeln!(file, "{}", generation.get())?;
        file.sync_all()?;
        fs::rename(&aside, folder.join(FILE))?;
        // Elsewhere than on Unix a folder cannot be opened for this.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    };
    write().map_err(CheckpointError::io("writing", &folder.join(FILE)))
}
