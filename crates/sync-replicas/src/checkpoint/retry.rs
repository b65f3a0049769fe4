//! The last save of a training, retried after failures: a full disk may find room.

use std::time::Duration;

/// How many checkpoints are kept at least: the newest, and one known to be good.
// P-25
pub const FEWEST_KEPT: usize = 2;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Growing pauses, until a deadline.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    until: Duration,
    pause: Duration,
}

impl Retry {
    /// For this long from now.
    #[must_use]
    pub fn new(now: Duration, longest: Duration) -> Self {
        Self { until: now.saturating_add(longest), pause: FIRST_PAUSE }
    }

    /// The pause before the next try; `None` if it would come too late.
    pub fn next(&mut self, now: Duration) -> Option<Duration> {
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        (now.saturating_add(pause) <= self.until).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_there_is_no_time() {
        let (mut retry, mut now, mut pauses) =
            (Retry::new(Duration::from_secs(3), Duration::from_secs(40)), 3000, Vec::new());
        while let Some(pause) = retry.next(Duration::from_millis(now)) {
            now += pause.as_millis() as u64;
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }
}
