//! Where a hook reads the time: the machine's clock, or one that a test moves.

use std::time::{Duration, Instant};

/// Time since some fixed moment; any `Fn() -> Duration` is one.
pub trait Clock: Send {
    /// The time passed since the clock's moment; never less than at an earlier call.
    fn now(&self) -> Duration;
}

impl<F: Fn() -> Duration + Send> Clock for F {
    fn now(&self) -> Duration {
        self()
    }
}

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts at zero now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}
