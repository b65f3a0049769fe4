//! Choices on the steps of a trace, drawn anew as wholes.
//!
//! All choices meet the same draws. A drawn step has the times of all its machines, so that
//! machines that were slow together still are.

use std::collections::BinaryHeap;

use super::estimate::{Candidate, Estimate};
use super::measured::Observation;
use super::replay::{MOST_UNKNOWN, RESAMPLES, Replay, in_order};
use crate::stats::{Spread, mean};
use crate::stream::Stream;

/// Draws whose spread is also measured: it is about the same in all.
const SPREADS: u64 = 8;

/// Estimates of choices with the same A or the same N, ascending, where no A is above its N.
pub(super) fn estimates(replay: &Replay, candidates: &[Candidate], seed: u64) -> Vec<Estimate> {
    let mut estimates: Vec<Estimate> = candidates.iter().map(|_| Estimate::default()).collect();
    let Some((first, last)) = candidates.first().zip(candidates.last()) else { return estimates };
    let is_fleet = first.total == last.total;
    let mut stream = Stream::of_resampling(seed);
    let mut unknown = vec![0.0; candidates.len()];
    for resample in 0..RESAMPLES {
        let fleet = machines(replay, last, &mut stream);
        let mut draws: Vec<Draws> = candidates.iter().map(|_| Draws::default()).collect();
        for step in replay.resampled(&mut stream) {
            let update = replay.update(step);
            let times = fleet.iter().map(|machine| match *machine {
                Machine::Itself(machine) => replay.time(step, machine),
                Machine::Like(machine) => replay.like(step, machine, &mut stream),
            });
            if is_fleet {
                add_of_fleet(&mut draws, candidates, times.collect(), update);
            } else {
                add_of_batch(&mut draws, candidates, times, update);
            }
        }
        for ((estimate, draws), unknown) in estimates.iter_mut().zip(&draws).zip(&mut unknown) {
            estimate.add(draws, resample < SPREADS);
            *unknown += draws.unknown as f64 / (replay.steps() as u64 * RESAMPLES) as f64;
        }
    }
    for ((estimate, candidate), unknown) in estimates.iter_mut().zip(candidates).zip(unknown) {
        estimate.wasted_per_step = (candidate.total - candidate.aggregate) as f64;
        estimate.lower_bound = unknown > MOST_UNKNOWN;
    }
    estimates
}

#[derive(Clone, Copy)]
enum Machine {
    Itself(usize),
    /// Another one of that kind.
    Like(usize),
}

/// As many machines as the largest choice needs: those of the trace, or some of their kinds.
fn machines(replay: &Replay, largest: &Candidate, stream: &mut Stream) -> Vec<Machine> {
    let count = replay.machines();
    let mut is_there = vec![false; count];
    let machines = (0..largest.total).map(|place| {
        let which = if largest.shuffled { stream.below(count) } else { place % count };
        match std::mem::replace(&mut is_there[which], true) {
            false => Machine::Itself(which),
            true => Machine::Like(which),
        }
    });
    machines.collect()
}

/// The durations of one choice's drawn steps.
#[derive(Default)]
struct Draws {
    seconds: Vec<f64>,
    useful: f64,
    spent: f64,
    unknown: usize,
}

impl Draws {
    /// A step that ends with the last of `aggregate` gradients, whose times have this sum.
    fn add(&mut self, candidate: &Candidate, last: f64, sum: f64, update: f64) {
        self.seconds.push(last + update);
        self.useful += sum;
        // A late machine is stopped then.
        self.spent += sum + (candidate.total - candidate.aggregate) as f64 * last;
    }
}

impl Estimate {
    fn add(&mut self, draws: &Draws, with_spread: bool) {
        self.means.push(mean(&draws.seconds));
        if with_spread {
            let part = 1.0 / SPREADS as f64;
            let spread = Spread::of(&draws.seconds);
            self.deviation += part * spread.deviation;
            self.p50 += part * spread.p50;
            self.p95 += part * spread.p95;
            let wasted = 1.0 - draws.useful / draws.spent.max(f64::MIN_POSITIVE);
            self.wasted_compute += part * wasted;
        }
    }
}

/// Adds a step to each choice of A.
fn add_of_fleet(draws: &mut [Draws], all: &[Candidate], times: Vec<Observation>, update: f64) {
    let (sorted, known) = in_order(times);
    let (mut sum, mut come) = (0.0, 0);
    for (draws, candidate) in draws.iter_mut().zip(all) {
        sum += sorted[come..candidate.aggregate].iter().sum::<f64>();
        come = candidate.aggregate;
        draws.add(candidate, sorted[come - 1], sum, update);
        draws.unknown += usize::from(come > known);
    }
}

/// Adds a step to each choice of N.
fn add_of_batch(
    draws: &mut [Draws],
    candidates: &[Candidate],
    mut times: impl Iterator<Item = Observation>,
    update: f64,
) {
    // The A earliest of those that came so far, the latest of them on top.
    let mut earliest = BinaryHeap::new();
    let (mut sum, mut come) = (0.0, 0);
    for (draws, candidate) in draws.iter_mut().zip(candidates) {
        for time in times.by_ref().take(candidate.total - come) {
            earliest.push(Arrival(time));
            sum += time.seconds;
            if earliest.len() > candidate.aggregate {
                sum -= earliest.pop().map_or(0.0, |it| it.0.seconds);
            }
        }
        come = candidate.total;
        // One that was given up came after all others, however early.
        let last = match earliest.peek() {
            Some(Arrival(time)) if time.finished => time.seconds,
            _ => earliest.iter().map(|it| it.0.seconds).fold(0.0, f64::max),
        };
        draws.add(candidate, last, sum, update);
        draws.unknown += usize::from(earliest.peek().is_some_and(|it| !it.0.finished));
    }
}

/// Ordered by arrival: those that were given up last.
struct Arrival(Observation);

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let (one, other) = (self.0, other.0);
        other.finished.cmp(&one.finished).then(one.seconds.total_cmp(&other.seconds))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Arrival {}
