//! Episodes: stretches of time in which some replicas compute more slowly, as when a link is
//! congested or a processor is throttled.
//!
//! Every replica of a group meets the same episodes, and computes them from the same random
//! numbers. Work is stretched exactly: an episode that begins or ends in the middle of a
//! computation slows the part that lies within it, and no other.

use std::num::NonZeroUsize;

use serde::Deserialize;

use crate::distribution::{Distribution, LONGEST};
use crate::stream::Stream;

/// A kind of episodes; they are drawn anew for each group of replicas.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Episodes {
    /// From the start, and from the end of an episode, to the beginning of the next.
    pub every: Distribution,
    /// How long an episode lasts.
    pub last: Distribution,
    /// How many times as long a computation takes in it.
    pub factor: Distribution,
    /// How many replicas have their episodes together: the first so many, the next, and so on.
    #[serde(default = "one")]
    pub group: NonZeroUsize,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

/// Beginnings and ends that one computation can meet; what is left of it then takes the factor at
/// hand. So a plan with episodes of nanoseconds also ends.
const MOST_CHANGES: usize = 10_000;

/// The episodes that a replica meets, of all kinds, from a moment on.
#[derive(Clone, Debug)]
pub(crate) struct Walks<'p>(Vec<Walk<'p>>);

#[derive(Clone, Debug)]
struct Walk<'p> {
    episodes: &'p Episodes,
    stream: Stream,
    within: bool,
    factor: f64,
    /// When the episode, or the quiet time, is over.
    ends: f64,
}

impl<'p> Walks<'p> {
    pub(crate) fn new(kinds: &'p [Episodes], seed: u64, replica: u64) -> Self {
        let walk = |(kind, episodes): (usize, &'p Episodes)| {
            let group = replica / episodes.group.get() as u64;
            let mut stream = Stream::of_episodes(seed, kind as u64, group);
            let ends = episodes.every.draw(&mut stream);
            Walk { episodes, stream, within: false, factor: 1.0, ends }
        };
        Self(kinds.iter().enumerate().map(walk).collect())
    }

    /// Goes on to a moment, never back.
    pub(crate) fn advance(&mut self, now: f64) {
        for walk in &mut self.0 {
            let mut changes = 0;
            while walk.ends <= now && changes < MOST_CHANGES {
                walk.change();
                changes += 1;
            }
            walk.ends = walk.ends.max(now);
        }
    }

    /// How long work takes that begins at a moment, which is not before that of the last
    /// [`Walks::advance`], and would take `work` seconds without episodes.
    pub(crate) fn stretched(&self, began: f64, work: f64) -> f64 {
        let left = work.min(LONGEST);
        if self.next_change() >= began + left * self.factor() {
            return left * self.factor();
        }
        let mut ahead = self.clone();
        ahead.advance(began);
        ahead.finish(began, left)
    }

    fn finish(&mut self, began: f64, mut left: f64) -> f64 {
        let (mut at, mut taken) = (began, 0.0);
        for _ in 0..MOST_CHANGES {
            let until = self.next_change();
            let done = (until - at) / self.factor();
            if left <= done {
                break;
            }
            left -= done;
            taken += until - at;
            at = until;
            for walk in self.0.iter_mut().filter(|walk| walk.ends <= at) {
                walk.change();
            }
        }
        taken + left * self.factor()
    }

    /// Episodes of several kinds slow together.
    fn factor(&self) -> f64 {
        self.0.iter().map(|walk| walk.factor).product()
    }

    fn next_change(&self) -> f64 {
        self.0.iter().map(|walk| walk.ends).fold(f64::INFINITY, f64::min)
    }
}

impl Walk<'_> {
    fn change(&mut self) {
        self.within = !self.within;
        let lasts = if self.within { &self.episodes.last } else { &self.episodes.every };
        self.ends += lasts.draw(&mut self.stream);
        self.factor =
            if self.within { self.episodes.factor.draw_factor(&mut self.stream) } else { 1.0 };
    }
}
