//! Many seeds on all cores, and their results, in words.
//!
//! It does not matter which thread runs which seed: counts are added, failures sorted.

use std::fmt;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::happenings::Happenings;
use super::{Broken, run_twice};

/// From so many seeds on, each kind of fault and of answer must have occurred.
const ENOUGH: u64 = 1000;
/// More failures than this add nothing new.
const SHOWN: usize = 10;

/// The results of a range of seeds.
#[derive(Clone, Debug)]
pub struct Report {
    seeds: Range<u64>,
    events: u64,
    happenings: Happenings,
    failures: Vec<(u64, Broken)>,
}

impl Report {
    /// Whether no invariant broke, and everything occurred that must in so many runs.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.missing().is_empty()
    }

    /// The seeds that failed, in order, with what they broke.
    #[must_use]
    pub fn failures(&self) -> &[(u64, Broken)] {
        &self.failures
    }

    /// What happened in all of them.
    #[must_use]
    pub fn happenings(&self) -> &Happenings {
        &self.happenings
    }

    fn runs(&self) -> u64 {
        self.seeds.end.saturating_sub(self.seeds.start)
    }

    fn missing(&self) -> Vec<&'static str> {
        if self.runs() < ENOUGH { Vec::new() } else { self.happenings.absent().collect() }
    }
}

/// Runs every seed of the range, each twice, to see that it replays.
#[must_use]
pub fn sweep(seeds: Range<u64>) -> Report {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut part = (0, Happenings::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return part;
            }
            let run = run_twice(seed);
            part.0 += run.events;
            part.1.merge(&run.happenings);
            part.2.extend(run.broken.map(|broken| (seed, broken)));
        }
    };
    let (mut events, mut happenings, mut failures) = (0, Happenings::default(), Vec::new());
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let part = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            events += part.0;
            happenings.merge(&part.1);
            failures.extend(part.2);
        }
    });
    failures.sort_by_key(|(seed, _)| *seed);
    Report { seeds, events, happenings, failures }
}

impl fmt::Display for Report {
    /// Totals, failures with the command that replays each, and the count on the last line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (runs, failed) = (self.runs(), self.failures.len() as u64);
        writeln!(f, "{runs} schedules, {} events\n{}", self.events, self.happenings)?;
        for (seed, broken) in self.failures.iter().take(SHOWN) {
            writeln!(f, "seed {seed} broke {broken}")?;
            writeln!(f, "replay: cargo xtask sim --seeds {seed}..{} --trace", seed + 1)?;
        }
        if self.failures.len() > SHOWN {
            writeln!(f, "and {} more", self.failures.len() - SHOWN)?;
        }
        for words in self.missing() {
            writeln!(f, "never in {runs} schedules: {words}")?;
        }
        write!(f, "{} passed, {failed} failed", runs - failed)
    }
}
