//! How often and how long something is measured, and what is made of the times.
//!
//! A time is the median of several; the spread is that of the middle half.

use std::fmt;
use std::time::{Duration, Instant};

use crate::ceilings::Memory;
use crate::{Work, rows};

/// How much is measured.
///
/// Many short slices, so that most of them are not interrupted where the machine is shared.
pub(crate) struct Plan {
    /// How many times, row and bound in turns.
    pub(crate) rounds: usize,
    /// How long one of these lasts, about.
    pub(crate) slice: Duration,
    /// When to stop earlier, at [`ROUNDS_MIN`]: some rows take far longer than a slice.
    pub(crate) budget: Duration,
}

const ROUNDS_MIN: usize = 5;

/// The middle of several values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) median: f64,
    /// The quartiles' distance, as a part of the median.
    pub(crate) spread: f64,
}

impl Sample {
    /// Of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
        let median = at(0.5);
        Self { median, spread: ((at(0.75) - at(0.25)) / median).abs() }
    }

    /// The same in another unit.
    pub(crate) fn map(self, convert: impl Fn(f64) -> f64) -> Self {
        Self { median: convert(self.median), ..self }
    }
}

impl Plan {
    /// The seconds that doing each once takes, measured in turns.
    pub(crate) fn in_turns(
        &self,
        mut work: Box<dyn Work>,
        bound: Option<Box<dyn Work>>,
    ) -> (Sample, Option<Sample>) {
        let times = self.calibrate(&mut *work);
        let mut bound = bound.map(|mut bound| (self.calibrate(&mut *bound), bound));
        let (mut own, mut other) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        for round in 0..self.rounds {
            if round >= ROUNDS_MIN && begun.elapsed() > self.budget {
                break;
            }
            if let Some((times, bound)) = &mut bound {
                other.push(once(&mut **bound, *times));
            }
            own.push(once(&mut *work, times));
        }
        (Sample::of(own), bound.map(|_| Sample::of(other)))
    }

    /// How many times fill a slice. Doing it so often also warms everything up.
    fn calibrate(&self, work: &mut dyn Work) -> u64 {
        let mut times = 1;
        loop {
            let begun = Instant::now();
            let timed = work.run(times);
            // Preparations are not timed, and may take far longer than what is.
            let spent = timed.max(begun.elapsed() / 4);
            // A quarter is near enough to reckon with; below it, what happens once weighs too much.
            if spent * 4 >= self.slice {
                let fitting = times as f64 * self.slice.as_secs_f64() / spent.as_secs_f64();
                return (fitting.ceil() as u64).max(1);
            }
            times *= 4;
        }
    }
}

fn once(work: &mut dyn Work, times: u64) -> f64 {
    work.run(times).as_secs_f64() / times as f64
}

/// One ceiling measured again and again through the run: how much it varies is the machine's doing.
pub(crate) struct Noise {
    stream: Memory,
    gigabytes_per_second: Vec<f64>,
}

impl Noise {
    pub(crate) fn new() -> Self {
        Self { stream: Memory::read(rows::NOISE, 2), gigabytes_per_second: Vec::new() }
    }

    pub(crate) fn take(&mut self) {
        let seconds = Sample::of((0..5).map(|_| once(&mut self.stream, 1)).collect()).median;
        self.gigabytes_per_second.push(rows::bytes(rows::NOISE, 1) / seconds / 1e9);
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.gigabytes_per_second.clone();
        sorted.sort_by(f64::total_cmp);
        let [least, .., most] = sorted.as_slice() else {
            return write!(f, "too few rows to say");
        };
        let middle = sorted[sorted.len() / 2];
        let spread = (most - least) / middle * 100.0;
        write!(f, "reading 64 MB on two threads, once before each row, gave ")?;
        write!(f, "{least:.1} to {most:.1} GB/s, {middle:.1} in the middle (spread {spread:.0} %)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_middle_of_several() {
        #[track_caller]
        fn check(values: &[f64], median: f64, spread: f64) {
            assert_eq!(Sample::of(values.to_vec()), Sample { median, spread });
        }
        check(&[3.0], 3.0, 0.0);
        check(&[9.0, 1.0, 2.0], 2.0, 3.5);
        check(&[1.0, 2.0, 4.0, 5.0, 100.0], 4.0, 0.75);
    }

    /// Says that it takes a millisecond, and counts how often it was started.
    struct Known(Arc<AtomicUsize>);

    impl Work for Known {
        fn run(&mut self, times: u64) -> Duration {
            self.0.fetch_add(1, Ordering::Relaxed);
            Duration::from_millis(times)
        }
    }

    #[test]
    fn as_often_as_fills_a_slice() {
        let (slice, budget) = (Duration::from_millis(50), Duration::from_secs(3600));
        let plan = Plan { rounds: 30, slice, budget };
        assert_eq!(plan.calibrate(&mut Known(Arc::default())), 50);
        let known = || Box::new(Known(Arc::default()));
        let (own, bound) = plan.in_turns(known(), Some(known()));
        assert_eq!(own, Sample { median: 1e-3, spread: 0.0 });
        assert_eq!(bound, Some(own));
    }

    #[test]
    fn as_many_rounds_as_the_budget_allows() {
        #[track_caller]
        fn check(rounds: usize, budget: Duration, expected: usize) {
            let started = Arc::new(AtomicUsize::new(0));
            let work = Box::new(Known(Arc::clone(&started)));
            Plan { rounds, slice: Duration::ZERO, budget }.in_turns(work, None);
            // Once more to find out how often it fits.
            assert_eq!(started.load(Ordering::Relaxed), expected + 1);
        }
        check(30, Duration::from_secs(3600), 30);
        check(30, Duration::ZERO, ROUNDS_MIN);
        check(3, Duration::ZERO, 3);
    }
}
