//! The newest generation begun in a folder, in a file beside the checkpoints.
//!
//! A process that goes on from a folder claims a higher number than all before it, on disk and
//! before it serves any replica; an earlier writer that still lives sees the number before its next
//! rename, and stops (P-9, P-24). A lock ends with its machine's network; this number does not.

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

/// Takes the next generation's number for a new life of a run, on disk, and returns the one before
/// it: at least `after`, and at least what was claimed in the folder before. A process that claims
/// again passes its last claim as `own`, so that it does not take the run back from a process that
/// has replaced it meanwhile.
///
/// # Errors
/// [`CheckpointError::Replaced`] when another process has claimed a higher number than `own`, and
/// [`CheckpointError::Io`].
// P-26
pub fn claim(
    folder: &Path,
    after: Generation,
    own: Option<Generation>,
) -> Result<Generation, CheckpointError> {
    let claimed = newest_generation(folder)?;
    if let Some(own) = own.filter(|&own| claimed > own) {
        return Err(CheckpointError::Replaced { path: folder.to_owned(), claimed, own });
    }
    let after = after.max(claimed);
    put(folder, after.next())?;
    Ok(after)
}

/// Writes the number, unless one as high is there.
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

#[cfg(test)]
mod tests {
    use super::*;

    // P-26
    #[test]
    fn whoever_was_replaced_claims_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let claim = |own: Option<u64>| {
            let claimed = claim(folder.path(), Generation::default(), own.map(Generation::new));
            claimed.map(|before| before.next().get()).map_err(|error| error.to_string())
        };
        assert_eq!(claim(None), Ok(1), "the first process");
        assert_eq!(claim(Some(1)), Ok(2), "which begins anew");
        assert_eq!(claim(None), Ok(3), "another one");
        let refused = claim(Some(2)).expect_err("it is the old one");
        assert!(refused.contains("generation 3") && refused.contains("generation 2"), "{refused}");
        let newest = newest_generation(folder.path()).expect("it is there");
        assert_eq!(newest.get(), 3, "the old one changed nothing");
        assert_eq!(claim(Some(3)), Ok(4), "the other one goes on");
    }
}
