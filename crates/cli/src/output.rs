//! What the program says: messages on standard error, one JSON object on standard output.
//!
//! Invariant: a user who does not read messages ends no training; a result that was asked for and
//! cannot be written is an error.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::error::Error;

/// Writes a line to standard error, as one piece; it may be lost.
///
/// `eprintln!` panics where the reader has gone, as `head` does and a closed window.
pub fn say(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes a result as one line.
///
/// # Errors
/// When it cannot be written: the caller of the program waits for it.
pub fn json(out: &mut (impl Write + ?Sized), result: &impl Serialize) -> Result<(), Error> {
    let line = serde_json::to_string(result).map_err(io::Error::from);
    let written = line.and_then(|line| out.write_all(format!("{line}\n").as_bytes()));
    written.and_then(|()| out.flush()).map_err(|error| {
        Error::failed(format!(
            "expected to write the JSON object of --json to standard output, got: {error}"
        ))
    })
}
