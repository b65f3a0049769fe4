//! The manifest: what the tensor file must be, and the numbers beside it, under a checksum.
//!
//! Its own checksum covers the inner object's exact text, so that a flipped bit anywhere is found.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::CheckpointError;
use super::state::Numbers;

/// The format that this version writes and reads.
pub(super) const FORMAT: u32 = 1;

/// What the checksum covers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) dtype: String,
    /// Of `tensors.safetensors`.
    pub(super) tensors_sha256: String,
    pub(super) tensors_bytes: u64,
    pub(super) numbers: Numbers,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    sha256: String,
    manifest: Box<RawValue>,
}

impl Manifest {
    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let manifest = serde_json::value::to_raw_value(self)?;
        let sha256 = sha256_hex(manifest.get().as_bytes());
        serde_json::to_vec(&Sealed { sha256, manifest })
    }

    pub(super) fn from_json(json: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let damaged = |what: String| CheckpointError::Damaged { path: path.to_owned(), what };
        let sealed: Sealed =
            serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        let found = sha256_hex(sealed.manifest.get().as_bytes());
        if found != sealed.sha256 {
            return Err(damaged(format!("checksum {found}, expected {}", sealed.sha256)));
        }
        let manifest: Self = serde_json::from_str(sealed.manifest.get())
            .map_err(|error| damaged(error.to_string()))?;
        if manifest.format != FORMAT {
            let (path, got) = (path.to_owned(), manifest.format);
            return Err(CheckpointError::Format { path, expected: FORMAT, got });
        }
        Ok(manifest)
    }
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
