//! The manifest: which files a checkpoint has, and the numbers beside them, under a checksum.
//!
//! Its own checksum covers the inner object's exact text, so that a flipped bit anywhere is found.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::file_entry::{FileEntry, missing_or_unreadable};
use super::state::Numbers;
use super::{CheckpointError, RunId};
use crate::checksum::sha256_hex;

pub(super) const TENSORS: &str = "tensors.safetensors";
pub(super) const MANIFEST: &str = "manifest.json";

/// The newest format; earlier ones are also read.
const FORMAT: u32 = 3;

/// The format without tables, which versions before them read.
const WITHOUT_TABLES: u32 = 2;

/// What the checksum covers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// `None` before format 2.
    pub(super) run: Option<RunId>,
    pub(super) dtype: String,
    /// Every file beside the manifest, save those of tables, which list their own.
    pub(super) files: Vec<FileEntry>,
    pub(super) numbers: Numbers,
}

/// Format 1 had one file, and no run.
#[derive(Deserialize)]
struct Manifest1 {
    dtype: String,
    tensors_sha256: String,
    tensors_bytes: u64,
    numbers: Numbers,
}

/// What all formats have.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    sha256: String,
    manifest: Box<RawValue>,
}

impl Manifest {
    pub(super) fn new(
        run: Option<RunId>,
        dtype: String,
        files: Vec<FileEntry>,
        numbers: Numbers,
    ) -> Self {
        let format = if numbers.tables.is_empty() { WITHOUT_TABLES } else { FORMAT };
        Self { format, run, dtype, files, numbers }
    }

    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let manifest = serde_json::value::to_raw_value(self)?;
        let sha256 = sha256_hex(manifest.get().as_bytes());
        serde_json::to_vec(&Sealed { sha256, manifest })
    }

    /// One on disk; a checkpoint without one is damaged.
    pub(super) fn read(path: &Path) -> Result<Self, CheckpointError> {
        let json = fs::read(path).map_err(|error| missing_or_unreadable(error, path))?;
        Self::from_json(&json, path)
    }

    pub(super) fn from_json(json: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let damaged = |what: String| CheckpointError::Damaged { path: path.to_owned(), what };
        let invalid = |error: serde_json::Error| damaged(error.to_string());
        let sealed: Sealed = serde_json::from_slice(json).map_err(invalid)?;
        let text = sealed.manifest.get();
        let found = sha256_hex(text.as_bytes());
        if found != sealed.sha256 {
            return Err(damaged(format!("checksum {found}, expected {}", sealed.sha256)));
        }
        let AnyFormat { format } = serde_json::from_str(text).map_err(invalid)?;
        match format {
            WITHOUT_TABLES..=FORMAT => serde_json::from_str(text).map_err(invalid),
            1 => serde_json::from_str(text).map(Self::from_first).map_err(invalid),
            got => Err(CheckpointError::Format { path: path.to_owned(), expected: FORMAT, got }),
        }
    }

    fn from_first(first: Manifest1) -> Self {
        let (name, sha256) = (TENSORS.to_owned(), first.tensors_sha256);
        let files = vec![FileEntry { name, bytes: first.tensors_bytes, sha256 }];
        Self { format: 1, run: None, dtype: first.dtype, files, numbers: first.numbers }
    }
}
