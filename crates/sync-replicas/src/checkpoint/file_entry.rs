//! One file of a checkpoint: its name, length and checksum, and what is wrong with it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::CheckpointError;
use crate::checksum::sha256_hex;

/// One file of a checkpoint, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl FileEntry {
    pub(super) fn of(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), bytes: bytes.len() as u64, sha256: sha256_hex(bytes) }
    }
}

/// A file is as long as the manifest says.
pub(super) fn check_length(file: &FileEntry, got: u64, path: &Path) -> Result<(), CheckpointError> {
    let expected = file.bytes;
    if got == expected {
        return Ok(());
    }
    let what = format!("{got} bytes, expected {expected}");
    Err(CheckpointError::Damaged { path: path.to_owned(), what })
}

/// A missing file is damage; one that the system does not give is not.
pub(super) fn missing_or_unreadable(error: io::Error, path: &Path) -> CheckpointError {
    match error.kind() {
        io::ErrorKind::NotFound => {
            let what = "there is no such file".to_owned();
            CheckpointError::Damaged { path: path.to_owned(), what }
        }
        _ => CheckpointError::io("reading", path)(error),
    }
}
