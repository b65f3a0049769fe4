//! What the program says: messages on standard error, one JSON object on standard output.
//!
//! A message is for whoever reads it, a result for whoever asked for it. Invariant: nobody who does
//! not read messages ends a training, and a result that cannot be written is an error.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

/// Writes a line to standard error, as one piece; whether it is read is nobody's loss.
///
/// `eprintln!` panics where the reader has gone, as `head` does and a closed window.
pub fn say(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// A result that was asked for with `--json` did not get to its reader.
#[derive(Debug, thiserror::Error)]
#[error("expected to write the JSON object of --json to standard output, got: {0}")]
pub struct JsonError(#[from] io::Error);

/// Writes a result as one line.
///
/// # Errors
/// [`JsonError`]: whoever asked for it waits for it.
pub fn json(out: &mut (impl Write + ?Sized), result: &impl Serialize) -> Result<(), JsonError> {
    let line = serde_json::to_string(result).map_err(io::Error::from)?;
    out.write_all(format!("{line}\n").as_bytes())?;
    Ok(out.flush()?)
}
