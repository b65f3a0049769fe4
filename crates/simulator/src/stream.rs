//! Random numbers: one stream for each purpose, all from one seed.
//!
//! A replica draws from its own stream, so adding a replica, or drawing more in one of them, does
//! not move the numbers of the others.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// Compute and network times of a replica.
    pub(crate) fn of_replica(seed: u64, replica: u64) -> Self {
        Self::numbered(seed, replica)
    }

    /// Deaths, pauses and returns of a replica.
    pub(crate) fn of_churn(seed: u64, replica: u64) -> Self {
        Self::numbered(seed, (1 << 62) + replica)
    }

    /// The length of a batch.
    pub(crate) fn of_batch(seed: u64, number: u64) -> Self {
        Self::numbered(seed, (1_u64 << 61).wrapping_add(number))
    }

    /// The speed of a replica's machine.
    pub(crate) fn of_machine(seed: u64, replica: u64) -> Self {
        Self::numbered(seed, (3 << 61) + replica)
    }

    /// A group's episodes of one kind.
    pub(crate) fn of_episodes(seed: u64, kind: u64, group: u64) -> Self {
        Self::numbered(seed, (5 << 61) + (kind << 32) + group)
    }

    /// Times of the updates.
    pub(crate) fn of_updates(seed: u64) -> Self {
        Self::numbered(seed, 1 << 63)
    }

    /// Draws that resample measurements.
    pub(crate) fn of_resampling(seed: u64) -> Self {
        Self::numbered(seed, (1 << 63) + 1)
    }

    fn numbered(seed: u64, number: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(number);
        Self(generator)
    }

    /// A number above 0 and below 1: one of 2^53 of equal distance.
    pub(crate) fn uniform(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        ((self.0.next_u64() >> 11) as f64 + 0.5) * STEP
    }

    /// A number below `count`, which must not be 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_stream_are_fixed_for_ever() {
        #[track_caller]
        fn check(mut stream: Stream, expected: [f64; 2]) {
            let got = [stream.uniform(), stream.uniform()];
            assert_eq!(got, expected);
        }
        check(Stream::of_replica(0, 0), [0.8369197568826472, 0.6314244940665232]);
        check(Stream::of_replica(0, 1), [0.7891618892784165, 0.8176048583089404]);
        check(Stream::of_replica(1, 0), [0.3814894132382611, 0.29492732578167496]);
        check(Stream::of_churn(0, 0), [0.5146217146927983, 0.7762303036523373]);
        check(Stream::of_batch(0, 0), [0.6512904229494838, 0.7795669430012522]);
        check(Stream::of_machine(0, 0), [0.8310977361775351, 0.6813984204968373]);
        check(Stream::of_episodes(0, 1, 2), [0.6117337973348602, 0.06984936633385314]);
        check(Stream::of_updates(0), [0.17119020868760088, 0.15483376044216884]);
    }

    #[test]
    fn a_number_below_a_count_is_below_it() {
        let mut stream = Stream::of_updates(3);
        let mut seen = [0; 3];
        (0..3000).for_each(|_| seen[stream.below(3)] += 1);
        assert!(seen.iter().all(|&count| (900..1100).contains(&count)), "{seen:?}");
    }
}
