//! The ends of a replica's part that only take a moment: leaving, the last variables, the record.

use std::time::Duration;

use super::{Departure, Version};

/// How long an answer is waited for that is only a courtesy.
const MOMENT: Duration = Duration::from_secs(1);

/// So long after the last news of the last variables nothing more is expected.
const SILENCE: Duration = Duration::from_secs(5);

/// The coordinator is told that the replica leaves, over a connection that has just broken once
/// more.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) departure: Departure,
    /// How many connections may be tried after the present one.
    spare: u32,
    pub(super) until: Duration,
    /// The coordinator's connection that it is told over.
    pub(super) over: Option<u64>,
    pub(super) said: bool,
}

impl Leaving {
    pub(super) fn new(departure: Departure, now: Duration) -> Self {
        Self { departure, spare: 2, until: now + MOMENT, over: None, said: false }
    }

    /// Goes on over the coordinator's connection of this number, or another; false if there is
    /// none, and none may be tried any more.
    pub(super) fn goes_on(&mut self, number: Option<u64>, now: Duration) -> bool {
        if number.is_some() && number == self.over {
            return true;
        }
        if self.spare == 0 {
            return false;
        }
        self.spare -= 1;
        (self.until, self.over, self.said) = (now + MOMENT, number, false);
        true
    }
}

/// The variables of the last step are fetched. They may be large, and servers may be gone: as long
/// as some come, the rest is waited for.
#[derive(Debug)]
pub(super) struct LastValues {
    pub(super) until: Duration,
    /// How many pieces had come when this silence began.
    pieces: u64,
    /// The lowest generation that they may be of, and the step.
    pub(super) target: Version,
}

impl LastValues {
    pub(super) fn new(target: Version, pieces: u64, now: Duration) -> Self {
        Self { until: now + SILENCE, pieces, target }
    }

    /// Whether nothing has come for too long.
    pub(super) fn is_silent(&self, pieces: u64, now: Duration) -> bool {
        now >= self.until && pieces == self.pieces
    }
}

/// The coordinator's record of the training is fetched.
#[derive(Debug)]
pub(super) struct Recall {
    pub(super) until: Duration,
    /// The connection that it was asked for over.
    pub(super) asked: Option<u64>,
}

impl Recall {
    pub(super) fn new(now: Duration) -> Self {
        Self { until: now + SILENCE, asked: None }
    }
}
