//! The bytes of a run: hashed always, kept when asked for.

use std::fmt::{self, Write};
use std::time::Duration;

/// Every line that was written, as one number, and the lines themselves if wanted.
///
/// The hash is FNV-1a: two equal numbers stand for equal bytes well enough to find a run that does
/// not replay, and there is no attacker.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    text: Option<String>,
}

impl Trace {
    pub(super) fn new(kept: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, text: kept.then(String::new) }
    }

    pub(super) fn line(&mut self, now: Duration, line: fmt::Arguments<'_>) {
        // Writing to memory cannot fail.
        let _ = writeln!(self, "{:>10} {line}", now.as_micros());
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn into_text(self) -> Option<String> {
        self.text
    }
}

impl Write for Trace {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for &byte in part.as_bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(text) = &mut self.text {
            text.push_str(part);
        }
        Ok(())
    }
}
