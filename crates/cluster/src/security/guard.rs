//! Decides whether a call may come in.
//!
//! Has no clock and no connection: path, value and time are handed in. Invariant: a value is let in
//! at most once, and only within [`WINDOW_MS`] of the time that its maker wrote into it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tonic::Status;

use super::SharedKey;
use super::header::{self, Header, Nonce};

/// Knows the key and the calls let in lately.
#[derive(Debug)]
pub struct Guard {
    key: SharedKey,
    seen: Mutex<Seen>,
    denials: [AtomicU64; KINDS],
}

/// How far apart the clocks of two machines may be, and how long a value is good for.
const WINDOW_MS: u64 = 60_000;
/// So many calls in a window are not training; no more are remembered.
const MOST_SEEN: usize = 1 << 16;
const KINDS: usize = 6;

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// It carries no value.
    #[error("expected an authorization made with the shared key, got none; give --key-file")]
    Missing = 0,
    /// The value has another form.
    #[error("expected an authorization of the form v1.TIME.NONCE.PROOF, got something else")]
    Malformed = 1,
    /// The value was made with another key, or for another call, or was changed.
    #[error("expected an authorization made with the shared key, got another; compare --key-file")]
    WrongKey = 2,
    /// The value is too old, or of a future time.
    #[error("expected an authorization of the last 60 s, got another time; set the clocks")]
    Expired = 3,
    /// The value was let in before.
    #[error("expected an authorization that is new, got one that was used; make one for each call")]
    Replayed = 4,
    /// There were more calls than are remembered.
    #[error("more than 65536 calls came in 60 s; wait a minute, or make fewer")]
    Flooded = 5,
    /// The caller's certificate is for another name; the guard never says so.
    #[error(
        "expected a certificate for a name that --tls-allow has, got one for others; compare its \
         subject alternative names"
    )]
    Name = 6,
}

impl Denial {
    /// Whether a later call may be let in with nothing changed but a clock: the caller tries again,
    /// as long as it is patient.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Expired | Self::Replayed | Self::Flooded)
    }

    /// The status that says so.
    pub(super) fn status(self) -> Status {
        let reason = self.to_string();
        match self {
            Self::Name => Status::permission_denied(reason),
            _ if self.is_passing() => Status::unavailable(reason),
            _ => Status::unauthenticated(reason),
        }
    }
}

/// How many calls were refused so far, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialCounts {
    /// Calls without a value.
    pub missing: u64,
    /// Values of another form.
    pub malformed: u64,
    /// Values that another key made.
    pub wrong_key: u64,
    /// Values of another time.
    pub expired: u64,
    /// Values that were used before.
    pub replayed: u64,
    /// Calls beyond what is remembered.
    pub flooded: u64,
}

/// Values that were let in and could still be replayed.
#[derive(Debug, Default)]
struct Seen {
    /// By time, so that the oldest are forgotten first.
    values: BTreeSet<(u64, Nonce)>,
    /// No value of this time or before comes in, or a clock set back would let in what has been
    /// forgotten.
    forgotten: Option<u64>,
}

impl Guard {
    /// Lets in callers that know `key`.
    #[must_use]
    pub fn new(key: SharedKey) -> Self {
        Self { key, seen: Mutex::default(), denials: Default::default() }
    }

    /// Judges a call of `path` (`/package.Service/Method`) that carries `value`, at `now` on this
    /// machine's clock.
    ///
    /// # Errors
    ///
    /// [`Denial`], which is also counted.
    pub fn admit(&self, path: &str, value: Option<&[u8]>, now: u64) -> Result<(), Denial> {
        let judged = self.judge(path, value, now);
        if let Err(denial) = judged {
            // A number for people to read: no other memory hangs on it.
            self.denials[denial as usize].fetch_add(1, Ordering::Relaxed);
        }
        judged
    }

    /// The proof that this server also knows the key, for its answer to a call of `path` that
    /// carried `value`.
    pub(super) fn answer(&self, path: &str, value: &[u8]) -> Option<String> {
        let claim = header::parse(value)?.claim;
        Some(header::answer(&self.key, claim, path))
    }

    /// What was refused until now.
    #[must_use]
    pub fn denials(&self) -> DenialCounts {
        let count = |denial: Denial| self.denials[denial as usize].load(Ordering::Relaxed);
        DenialCounts {
            missing: count(Denial::Missing),
            malformed: count(Denial::Malformed),
            wrong_key: count(Denial::WrongKey),
            expired: count(Denial::Expired),
            replayed: count(Denial::Replayed),
            flooded: count(Denial::Flooded),
        }
    }

    fn judge(&self, path: &str, value: Option<&[u8]>, now: u64) -> Result<(), Denial> {
        let header = header::parse(value.ok_or(Denial::Missing)?).ok_or(Denial::Malformed)?;
        // First of all, so that who has no key fills no memory and learns nothing about clocks.
        if !self.key.verify(header.claim, path, &header.proof) {
            return Err(Denial::WrongKey);
        }
        if header.time.abs_diff(now) > WINDOW_MS {
            return Err(Denial::Expired);
        }
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remember(&header, now)
    }
}

impl Seen {
    fn remember(&mut self, header: &Header<'_>, now: u64) -> Result<(), Denial> {
        let oldest = now.saturating_sub(WINDOW_MS);
        while self.values.first().is_some_and(|(time, _)| *time < oldest) {
            self.forgotten = self.values.pop_first().map(|(time, _)| time).max(self.forgotten);
        }
        if self.forgotten.is_some_and(|forgotten| header.time <= forgotten) {
            return Err(Denial::Expired);
        }
        let value = (header.time, header.nonce);
        if self.values.contains(&value) {
            return Err(Denial::Replayed);
        }
        if self.values.len() >= MOST_SEEN {
            return Err(Denial::Flooded);
        }
        self.values.insert(value);
        Ok(())
    }
}
