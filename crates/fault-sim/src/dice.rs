//! All random draws, from one seed.
//!
//! No other part of the fault simulation has a generator, so the order of the draws, and with it
//! the whole run, follows from the seed.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[derive(Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability.clamp(0.0, 1.0))
    }

    /// Any number from `least` to `most`, both included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0.random_range(least..=most)
    }

    pub(super) fn up_to(&mut self, most: f64) -> f64 {
        self.0.random_range(0.0..most)
    }

    /// A time in milliseconds, both ends included, to the microsecond.
    pub(super) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(self.between(least * 1000, most * 1000))
    }

    /// Exponentially distributed, to the microsecond.
    pub(super) fn exponential(&mut self, mean: Duration) -> Duration {
        let uniform = self.0.random_range(f64::MIN_POSITIVE..1.0);
        let micros = -libm::log(uniform) * mean.as_micros() as f64;
        Duration::from_micros(micros as u64)
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }
}
