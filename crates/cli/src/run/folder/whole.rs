//! Files that are always read whole: the new version or the one before.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use sync_replicas::driver::create_private_file;

use crate::error::Error;

/// Writes a file aside and puts it in the place of the one before.
pub(super) fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}.new"));
    let write = || {
        let mut file = create_private_file(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().map_err(|error| unwritable(path, &error))
}

/// The system does not let a folder or a file of the run be written.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::usage(format!("the run folder {} cannot be written: {error}", path.display()))
}
