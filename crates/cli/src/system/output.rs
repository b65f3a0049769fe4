//! The program's output: messages on standard error, a text or one JSON object on standard output,
//! and files that a user names.
//!
//! Invariant: unread messages end no training; a requested result that cannot be written is an
//! error.

use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use serde::Serialize;
use sync_replicas::BoxError;

use crate::error::Error;

/// Writes a line to standard error, as one piece; it may be lost.
///
/// `eprintln!` panics if the reader is gone, as with `head` or a closed window.
pub(crate) fn say(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes a result as one line.
///
/// # Errors
/// When it cannot be written: the caller of the program waits for it.
pub(crate) fn json(out: &mut (impl Write + ?Sized), result: &impl Serialize) -> Result<(), Error> {
    let line = serde_json::to_string(result).map_err(io::Error::from);
    let written = line.and_then(|line| out.write_all(format!("{line}\n").as_bytes()));
    written.and_then(|()| out.flush()).map_err(|error| {
        Error::failed(format!(
            "expected to write the JSON object of --json to standard output, got: {error}"
        ))
    })
}

/// Writes a result as text; a reader that is gone, such as `head`, has seen enough.
///
/// # Errors
/// When it cannot be written for another reason, as to a full disk.
pub(crate) fn text(out: &mut (impl Write + ?Sized), text: &str) -> Result<(), Error> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if !is_broken_pipe(&error) => {
            Err(Error::failed(format!("the answer cannot be written to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Whether the reader is gone.
pub(crate) fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

/// Writes to a pipe or a device as it is. A file is written beside its place, and moved there once
/// it is whole: the old one stays until then, and may be the very input.
///
/// # Errors
/// The error of `write`, or of the file's system, with its name.
pub(crate) fn to_file<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, BoxError>,
) -> Result<T, BoxError> {
    let unwritable = |error| format!("{} cannot be written: {error}", path.display());
    // Where links lead is what is meant.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        let mut file = fs::File::options().write(true).open(&target).map_err(unwritable)?;
        return write(&mut file);
    }
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let aside = target.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file = fs::File::create(&aside).map_err(unwritable)?;
    let placed = match write(&mut file) {
        Ok(written) => {
            let permissions = before.map(|before| file.set_permissions(before.permissions()));
            let placed = permissions.transpose().and_then(|_| fs::rename(&aside, &target));
            placed.map(|()| written).map_err(|error| unwritable(error).into())
        }
        Err(error) => Err(error),
    };
    if placed.is_err() {
        let _ = fs::remove_file(&aside);
    }
    placed
}
