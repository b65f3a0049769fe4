//! A file's fingerprint: a hash of all its bytes, computed while they are read for another purpose.

use std::hash::Hasher;
use std::io::{self, Read};

use twox_hash::XxHash3_64;

/// A reader that hashes what it reads.
pub(crate) struct Hashed<R> {
    text: R,
    hash: XxHash3_64,
}

impl<R> Hashed<R> {
    pub(crate) fn new(text: R) -> Self {
        Self { text, hash: XxHash3_64::new() }
    }

    /// Of the bytes read so far.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.hash.finish()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.text.read(buffer)?;
        self.hash.write(&buffer[..read]);
        Ok(read)
    }
}
