//! The ends of a replica's part that only take a moment: the coordinator's last words, leaving, the
//! last variables, the record.

use std::time::Duration;

use super::{Departure, Ended, ReplicaProtocol, Version};

/// How long to wait for an answer that is only a courtesy.
const MOMENT: Duration = Duration::from_secs(1);

/// After so long without a piece of the variables, no more is expected.
const SILENCE: Duration = Duration::from_secs(5);

/// How long nothing has come. Variables may be large, and the awaited answer comes after them.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) until: Duration,
    /// How many pieces had come when it began.
    pieces: u64,
}

impl Silence {
    fn new(pieces: u64, now: Duration) -> Self {
        Self { until: now + SILENCE, pieces }
    }

    /// Whether nothing has come for too long.
    pub(super) fn is_over(&self, pieces: u64, now: Duration) -> bool {
        now >= self.until && pieces == self.pieces
    }
}

/// A server other than the coordinator's has told of the end.
#[derive(Debug)]
pub(super) struct Foretold {
    ended: Ended,
    silence: Silence,
}

impl ReplicaProtocol {
    /// Takes the end from a server. The coordinator tells of it after all else that it has to say,
    /// such as the last step and the fate of the last push; another server may tell earlier.
    pub(super) fn learn_end(&mut self, server: usize, ended: Ended, now: Duration) {
        if server == 0 {
            (self.ended, self.foretold) = (Some(ended), None);
        } else if self.ended.is_none() && self.foretold.is_none() {
            let silence = Silence::new(self.copies.pieces, now);
            self.foretold = Some(Foretold { ended, silence });
        }
    }

    /// Whether the end is foretold, and the coordinator's own word is awaited: as long as its
    /// connection is there, and not for long if it hangs.
    pub(super) fn awaits_last_words(&mut self, now: Duration) -> bool {
        let Some(foretold) = &mut self.foretold else { return false };
        let (silence, pieces) = (&mut foretold.silence, self.copies.pieces);
        if self.connections.open(0).is_none() || silence.is_over(pieces, now) {
            self.take_foretold_end();
            return false;
        }
        if now >= silence.until {
            *silence = Silence::new(pieces, now);
        }
        self.wake = Some(silence.until);
        true
    }

    /// The foretold end is as good as told.
    pub(super) fn take_foretold_end(&mut self) {
        if let Some(foretold) = self.foretold.take() {
            self.ended.get_or_insert(foretold.ended);
        }
    }
}

/// The coordinator is told that the replica leaves; if the connection has just broken, once more.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) departure: Departure,
    /// How many connections may be tried after the present one.
    spare: u32,
    pub(super) until: Duration,
    /// The coordinator's connection for the message.
    pub(super) over: Option<u64>,
    pub(super) said: bool,
}

impl Leaving {
    pub(super) fn new(departure: Departure, now: Duration) -> Self {
        Self { departure, spare: 2, until: now + MOMENT, over: None, said: false }
    }

    /// Goes on over the coordinator's connection of this number, or another; false if there is none
    /// and none may be tried.
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
/// as some come, it waits for the rest.
#[derive(Debug)]
pub(super) struct LastValues {
    pub(super) silence: Silence,
    /// The lowest acceptable generation, and the step.
    pub(super) target: Version,
}

impl LastValues {
    pub(super) fn new(target: Version, pieces: u64, now: Duration) -> Self {
        Self { silence: Silence::new(pieces, now), target }
    }
}

/// The coordinator's record of the training is fetched.
#[derive(Debug)]
pub(super) struct Recall {
    pub(super) until: Duration,
    /// The connection of the request.
    pub(super) asked: Option<u64>,
}

impl Recall {
    pub(super) fn new(now: Duration) -> Self {
        Self { until: now + SILENCE, asked: None }
    }
}
