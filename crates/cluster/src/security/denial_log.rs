//! Refused calls in the log: how many, why and from where, at most once a minute (P-27).
//!
//! Has no clock: milliseconds are handed in. Invariant: each denial is in exactly one line.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use super::Denial;

/// The time between two lines.
const PAUSE_MS: u64 = 60_000;

/// Denials that are not in the log yet.
#[derive(Debug, Default)]
pub(crate) struct DenialLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the last line was made.
    written: Option<u64>,
    calls: u64,
    last: Option<(Denial, Option<SocketAddr>)>,
}

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    calls: u64,
    denial: Denial,
    address: Option<SocketAddr>,
}

impl DenialLog {
    /// Counts a denial, and writes a line if it is time.
    pub(super) fn refused(&self, denial: Denial, address: Option<SocketAddr>, now: u64) {
        self.with(|state| {
            state.calls += 1;
            state.last = Some((denial, address));
            state.line(now)
        });
    }

    /// Writes the rest, if it is time.
    pub(crate) fn flush(&self, now: u64) {
        self.with(|state| state.line(now));
    }

    fn with(&self, change: impl FnOnce(&mut State) -> Option<Line>) {
        let line = change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(Line { calls, denial, address }) = line else { return };
        let from = address.map_or_else(|| "an unknown address".to_owned(), |it| it.to_string());
        tracing::warn!(calls, last = %from, reason = %denial, "calls were refused");
    }
}

impl State {
    fn line(&mut self, now: u64) -> Option<Line> {
        // A clock that was set back must not silence it.
        if self.written.is_some_and(|written| now.abs_diff(written) < PAUSE_MS) {
            return None;
        }
        let (denial, address) = self.last.take()?;
        self.written = Some(now);
        Some(Line { calls: std::mem::take(&mut self.calls), denial, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_denial_is_in_one_line_a_minute() {
        let mut state = State::default();
        let mut refuse = |now, expected: Option<u64>| {
            state.calls += 1;
            state.last = Some((Denial::Missing, None));
            assert_eq!(state.line(now).map(|it| it.calls), expected, "at {now}");
        };
        refuse(1_000, Some(1));
        refuse(2_000, None);
        refuse(60_999, None);
        refuse(61_000, Some(3));
        refuse(61_001, None);
        // Set back by an hour.
        refuse(0, Some(2));
        assert_eq!(state.line(999_999), None, "nothing is left");
    }
}
