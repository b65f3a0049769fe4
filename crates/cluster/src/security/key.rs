//! The key that all processes of a cluster share.
//!
//! Reads it and computes with it; decides nothing. Invariant: the key is in no message, no log and
//! no `Debug` output.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::{self, Closed, Exposed};

/// A key, ready to sign and to verify.
#[derive(Clone)]
pub struct SharedKey(Hmac<Sha256>);

/// Fewer bytes could be guessed.
const LEAST: usize = 32;
/// A longer file is not a key, but something else named by mistake.
const MOST: u64 = 4096;

/// The shared key could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be read.
    #[error(
        "--key-file {}: expected a file that this process can read, got: {source}",
        path.display()
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Other users of the machine could read the key.
    #[error(transparent)]
    Exposed(Exposed),
    /// Too short, or too long to be a key.
    #[error(
        "--key-file {}: expected {LEAST} to {MOST} bytes without spaces around them, got {got}; \
         make one with: openssl rand -hex 32", path.display()
    )]
    Length {
        /// Which file.
        path: PathBuf,
        /// How many bytes it has; one past the limit if it has more.
        got: usize,
    },
}

impl SharedKey {
    /// The key of these bytes; `None` if they are so few that they could be guessed.
    #[must_use]
    pub fn new(key: &[u8]) -> Option<Self> {
        if key.len() < LEAST {
            return None;
        }
        Hmac::new_from_slice(key).ok().map(Self)
    }

    /// Reads a key. White space around it, such as a newline at the end, is not part of it.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the file cannot be read, can be read by strangers, or is not a key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let read = |source| KeyError::Read { path: path.to_owned(), source };
        let file = secret::open("--key-file", path).map_err(|closed| match closed {
            Closed::Read(source) => read(source),
            Closed::Exposed(exposed) => KeyError::Exposed(exposed),
        })?;
        let mut bytes = Vec::new();
        file.take(MOST + 1).read_to_end(&mut bytes).map_err(read)?;
        let key = bytes.trim_ascii();
        let length = || KeyError::Length { path: path.to_owned(), got: key.len() };
        if bytes.len() as u64 > MOST {
            return Err(length());
        }
        Self::new(key).ok_or_else(length)
    }

    /// The proof for a call of `path`, stated by `claim`.
    pub(super) fn sign(&self, claim: &str, path: &str) -> [u8; 32] {
        self.over(claim, path).finalize().into_bytes().into()
    }

    /// Takes equally long for every wrong proof.
    pub(super) fn verify(&self, claim: &str, path: &str, proof: &[u8; 32]) -> bool {
        self.over(claim, path).verify_slice(proof).is_ok()
    }

    fn over(&self, claim: &str, path: &str) -> Hmac<Sha256> {
        // A claim has no newline, so no claim and path run into another claim and path.
        self.0.clone().chain_update(claim).chain_update("\n").chain_update(path)
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(..)")
    }
}
