//! Files that are there whole, or as they were before, whenever somebody looks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file aside and puts it in the place of the one before.
pub(super) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}.new"));
    let mut file = File::create(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path)
}
