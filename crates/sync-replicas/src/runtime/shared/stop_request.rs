//! A request to end training that comes from anywhere, a signal handler included.
//!
//! It only leaves a word: the next event finds it, and the clock's thread is woken to be that
//! event. Invariant: leaving it takes no lock, allocates nothing and frees nothing.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::sync::Thread;

/// Bytes of a reason that are kept.
const LONGEST: usize = 255;

const NONE: u8 = 0;
/// A thread is writing the reason.
const COMING: u8 = 1;
const THERE: u8 = 2;

/// At most one at a time: the first stands until it is taken.
pub(crate) struct StopRequest {
    state: AtomicU8,
    length: AtomicUsize,
    reason: [AtomicU8; LONGEST],
    clock: OnceLock<Thread>,
}

impl fmt::Debug for StopRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopRequest").field("state", &self.state).finish_non_exhaustive()
    }
}

impl StopRequest {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU8::new(NONE),
            length: AtomicUsize::new(0),
            reason: [const { AtomicU8::new(0) }; LONGEST],
            clock: OnceLock::new(),
        }
    }

    /// The thread that turns a request into an event.
    pub(crate) fn serve_by(&self, clock: Thread) {
        // There is one clock for the whole life of a trainer.
        drop(self.clock.set(clock));
    }

    /// Leaves a request, unless there is one.
    pub(crate) fn leave(&self, reason: &str) {
        let free = self.state.compare_exchange(NONE, COMING, Ordering::Acquire, Ordering::Relaxed);
        if free.is_ok() {
            let fits = |&length: &usize| reason.is_char_boundary(length);
            let length = (0..=reason.len().min(LONGEST)).rev().find(fits).unwrap_or(0);
            for (to, &byte) in self.reason.iter().zip(&reason.as_bytes()[..length]) {
                to.store(byte, Ordering::Relaxed);
            }
            self.length.store(length, Ordering::Relaxed);
            self.state.store(THERE, Ordering::Release);
        }
        if let Some(clock) = self.clock.get() {
            clock.unpark();
        }
    }

    /// Takes the request, if there is one. One taker at a time.
    pub(crate) fn take(&self) -> Option<String> {
        if self.state.load(Ordering::Acquire) != THERE {
            return None;
        }
        let length = self.length.load(Ordering::Relaxed);
        let bytes = self.reason[..length].iter().map(|byte| byte.load(Ordering::Relaxed));
        let reason = String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned();
        self.state.store(NONE, Ordering::Release);
        Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(requests: &[&str], expected: Option<&str>) {
        let request = StopRequest::new();
        requests.iter().for_each(|reason| request.leave(reason));
        assert_eq!(request.take().as_deref(), expected);
        assert_eq!(request.take(), None, "taken once");
        request.leave("again");
        assert_eq!(request.take().as_deref(), Some("again"), "there is room again");
    }

    #[test]
    fn the_first_request_stands_until_it_is_taken() {
        check(&[], None);
        check(&[""], Some(""));
        check(&["ctrl-c", "later"], Some("ctrl-c"));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let long = "ä".repeat(LONGEST);
        check(&[&long], Some(&"ä".repeat(LONGEST / 2)));
    }
}
