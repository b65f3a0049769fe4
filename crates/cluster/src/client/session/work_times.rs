//! How a piece of work goes, by this replica's clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::coordinator::Times;

/// A piece of work that was computed, or given up.
#[derive(Clone, Copy, Debug)]
pub struct WorkTimes {
    /// How long the token and the variables were waited for.
    pub waited: Duration,
    /// How long it was computed.
    pub computed: Duration,
    /// When computing ended.
    pub ended: Instant,
}

impl WorkTimes {
    /// As of now.
    pub(super) fn times(&self) -> Times {
        Times { waited: self.waited, computed: self.computed, sent: self.ended.elapsed() }
    }
}
