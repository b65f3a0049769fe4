//! Which batches were given out and which are in an update, so that a run that goes on from a
//! checkpoint neither repeats nor skips one, whatever its number of replicas.
//!
//! In arrival order batches come in streams: stream *r* of *n* has the numbers *r*, *r* + *n*,
//! *r* + 2*n* and so on. A run begins with a stream for each replica and keeps its streams for
//! good: with another number of replicas, each takes the lowest number left in any of them. In
//! replica order the shares of a step have consecutive numbers, from step to step.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ReplicaId;

/// A run's position in its data, for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// How many batches each stream has given.
    pub given: Vec<u64>,
    /// Batches that were given and are in no update: they are given again.
    #[serde(default)]
    pub again: Vec<u64>,
    /// The number of the open step's first batch (replica order only).
    #[serde(default)]
    pub first_of_step: Option<u64>,
    /// How many batches of each share were left out: its numbers are that many times A farther
    /// (replica order only); empty for none.
    // P-25
    #[serde(default)]
    pub skipped: Vec<u64>,
}

/// Reported when [`Engine::set_positions`](crate::Engine::set_positions) cannot go on exactly.
pub const INEXACT_POSITIONS: &str = "the checkpoint is of a run in arrival order, or of one with \
     another A that left batches out, and goes on in replica order: batches are numbered by the \
     step, so some may be repeated or missed";

impl Positions {
    /// The position of a run in replica order.
    pub(crate) fn of_shares(first: u64, skipped: Vec<u64>) -> Self {
        let shares = skipped.len() as u64;
        if skipped.iter().all(|&skipped| skipped == 0) {
            // All before them were given, as in a single stream.
            return Self { given: vec![first], first_of_step: Some(first), ..Self::default() };
        }
        let mut given = vec![0; skipped.len()];
        for (share, skipped) in (0..shares).zip(&skipped) {
            // Each share is a stream: it has given the numbers before its next one.
            let number = first.saturating_add(share);
            given[(number % shares) as usize] = (number / shares).saturating_add(*skipped);
        }
        Self { given, again: Vec::new(), first_of_step: Some(first), skipped }
    }

    /// The number after the highest that a share has given, when its step begins with `first`.
    pub(crate) fn after_all(&self, first: u64) -> u64 {
        let shares = self.skipped.len() as u64;
        let last = self.skipped.iter().max().copied().unwrap_or(0);
        first.saturating_add(last.saturating_mul(shares))
    }
}

/// The streams of a run in arrival order.
#[derive(Clone, Debug)]
pub(crate) struct Batches {
    given: Vec<u64>,
    again: BTreeSet<u64>,
    replicas: usize,
}

impl Batches {
    /// A stream for each replica.
    pub(crate) fn new(replicas: usize) -> Self {
        Self { given: vec![0; replicas], again: BTreeSet::new(), replicas }
    }

    /// Those from a checkpoint.
    pub(crate) fn at(positions: &Positions, replicas: usize) -> Self {
        let Positions { given, again, .. } = positions;
        let given = if given.is_empty() { vec![0; replicas] } else { given.clone() };
        Self { given, again: again.iter().copied().collect(), replicas }
    }

    /// The number of a replica's next batch.
    pub(crate) fn next(&mut self, replica: ReplicaId) -> u64 {
        let own = self.own(replica);
        let streams = self.given.len() as u64;
        let is_own = |&&number: &&u64| own.is_none_or(|own| number % streams == own as u64);
        if let Some(number) = self.again.iter().find(is_own).copied() {
            self.again.remove(&number);
            return number;
        }
        let lowest = || (0..self.given.len()).min_by_key(|&stream| self.next_of(stream));
        let Some(stream) = own.or_else(lowest) else { return 0 };
        let number = self.next_of(stream);
        self.given[stream] = self.given[stream].saturating_add(1);
        number
    }

    /// A batch whose replica is gone: its stream gives it again.
    pub(crate) fn give_again(&mut self, batch: Option<u64>) {
        self.again.extend(batch);
    }

    /// The run's position, when these batches were given and are in no update.
    pub(crate) fn positions(&self, open: impl Iterator<Item = u64>) -> Positions {
        let mut left = self.clone();
        left.again.extend(open);
        // What a stream gave last, it has not given.
        let again: Vec<u64> = left.again.iter().rev().copied().collect();
        for number in again {
            let stream = usize::try_from(number % left.given.len() as u64).unwrap_or_default();
            let before = left.given[stream].saturating_sub(1);
            let given = std::mem::replace(&mut left.given[stream], before);
            if given > before && left.next_of(stream) == number {
                left.again.remove(&number);
            } else {
                left.given[stream] = given;
            }
        }
        let again = left.again.into_iter().collect();
        Positions { given: left.given, again, ..Positions::default() }
    }

    /// The replica's own stream, as long as each has one.
    fn own(&self, replica: ReplicaId) -> Option<usize> {
        let stream = usize::try_from(replica.get()).ok()?;
        (self.given.len() == self.replicas).then_some(stream)
    }

    fn next_of(&self, stream: usize) -> u64 {
        let streams = self.given.len() as u64;
        self.given[stream].saturating_mul(streams).saturating_add(stream as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives `count` batches to replicas in turns; returns the numbers.
    fn give(batches: &mut Batches, replicas: u64, count: usize) -> Vec<u64> {
        let turns = (0..replicas).map(ReplicaId::new).cycle().take(count);
        turns.map(|replica| batches.next(replica)).collect()
    }

    #[test]
    fn each_replica_has_a_stream_of_its_own() {
        let mut batches = Batches::new(3);
        let second: Vec<u64> = (0..3).map(|_| batches.next(ReplicaId::new(1))).collect();
        assert_eq!(second, [1, 4, 7]);
        assert_eq!(batches.positions(std::iter::empty()).given, [0, 3, 0]);
    }

    #[test]
    fn what_is_in_no_update_is_given_again() {
        #[track_caller]
        fn check(open: &[u64], given: &[u64], again: &[u64]) {
            let mut batches = Batches::new(2);
            give(&mut batches, 2, 6);
            let positions = batches.positions(open.iter().copied());
            assert_eq!((&positions.given[..], &positions.again[..]), (given, again));
            let mut restored = Batches::at(&positions, 2);
            let mut numbers = give(&mut restored, 2, open.len() + 2);
            numbers.sort_unstable();
            assert!(open.iter().all(|number| numbers.contains(number)), "{open:?}: {numbers:?}");
        }
        check(&[], &[3, 3], &[]);
        check(&[4, 5], &[2, 2], &[]);
        check(&[2, 4], &[1, 3], &[]);
        check(&[2], &[3, 3], &[2]);
    }

    proptest! {
        /// Through any number of restores into any number of replicas, every number up to the
        /// highest one is given once or is still to be given.
        #[test]
        fn no_number_is_given_twice_or_never(
            lives in prop::collection::vec((1_u64..6, 0_usize..40, 0_usize..4), 1..6),
        ) {
            let mut positions = Positions::default();
            let mut seen = BTreeSet::new();
            for (replicas, count, lost) in lives {
                let mut batches = Batches::at(&positions, replicas as usize);
                let numbers = give(&mut batches, replicas, count);
                let open: Vec<u64> = numbers.iter().rev().take(lost).copied().collect();
                for number in numbers.into_iter().filter(|number| !open.contains(number)) {
                    prop_assert!(seen.insert(number), "{number} twice");
                }
                positions = batches.positions(open.into_iter());
            }
            let mut rest = Batches::at(&positions, positions.given.len() + 1);
            let highest = seen.last().copied().unwrap_or(0);
            loop {
                let number = rest.next(ReplicaId::new(0));
                if number > highest {
                    break;
                }
                prop_assert!(seen.insert(number), "{number} twice");
            }
            let all: Vec<u64> = (0..seen.len() as u64).collect();
            prop_assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
        }
    }
}
