//! What each choice of A would have given on the very steps of a trace.
//!
//! A step takes as long as the A-th fastest of its replicas did in that step, so that whatever they
//! had in common, and whatever lasted, is kept. What is missing is filled in against the level of
//! its step: a batch that was given up with one of the same machine that took longer, one that is
//! not there with any. Its invariant: an unseen time is never counted as known.

use serde::Serialize;

use super::measured::{Measured, Observation};
use super::relative;
use super::trace::{Cell, Trace};
use crate::distribution::Distribution;
use crate::stats::{deviation, mean};
use crate::stream::Stream;

/// The steps of a trace, each with a time of every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The machines' names.
    names: Vec<i64>,
    /// What each machine takes, in seconds.
    machines: Vec<Measured>,
    /// Step by step, each machine's time; those that did not finish are lower bounds.
    times: Vec<Observation>,
    /// The usual time in each step.
    levels: Vec<f64>,
    /// What each step takes beside computing.
    updates: Vec<f64>,
}

/// What one choice of A would have given on a trace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gain {
    /// A, the gradients that a step needs.
    pub replicas_to_aggregate: usize,
    /// N - A.
    pub backups: usize,
    /// The mean step.
    pub step_seconds: f64,
    /// How many times shorter that is than a step that waits for all.
    pub faster: f64,
    /// Half the width of its 95 % interval, by resampling stretches of steps.
    pub plus_minus: f64,
    /// Gradients for each machine and second, over those of a step that waits for all.
    pub work_each: f64,
    /// Whether steps that it needs were never seen to end, so that its time is a lower bound.
    pub lower_bound: bool,
}

/// The most times of a replay; of more, every so many steps are replayed.
const MOST_TIMES: usize = 500_000;
/// How often steps are drawn anew.
pub(super) const RESAMPLES: u64 = 60;
/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.96;
/// A choice is a lower bound if more than this part of its steps is.
pub(super) const MOST_UNKNOWN: f64 = 0.1;

impl Replay {
    /// The steps of a trace, and what each takes beside computing, if anything.
    #[must_use]
    pub fn of(trace: &Trace, update: Option<&Distribution>, seed: u64) -> Self {
        let mut stream = Stream::of_resampling(seed);
        let mut updates = Stream::of_updates(seed);
        let machines = trace.machines();
        let ratios = ratios(trace);
        let every = (trace.steps().len() * machines.len()).div_ceil(MOST_TIMES);
        let mut replay = Self {
            names: trace.replicas().to_vec(),
            machines,
            times: Vec::new(),
            levels: Vec::new(),
            updates: Vec::new(),
        };
        for cells in trace.by_step().step_by(every.max(1)) {
            let level = level(cells);
            let mut cells = cells.iter().peekable();
            for (replica, ratios) in ratios.iter().enumerate() {
                let ratio = match cells.next_if(|cell| cell.replica == replica) {
                    Some(cell) if cell.finished => {
                        Observation { seconds: cell.seconds / level, finished: true }
                    }
                    Some(cell) => ratios.longer(cell.seconds / level, &mut stream),
                    None => ratios.draw(&mut stream),
                };
                replay.times.push(Observation { seconds: ratio.seconds * level, ..ratio });
            }
            replay.levels.push(level);
            let update = update.map(|update| update.draw_time(&mut updates));
            replay.updates.push(update.unwrap_or_default().as_secs_f64());
        }
        replay
    }

    /// The same steps with some machines replaced by usual ones: each takes what another one took
    /// in some other step, against the level of that step.
    #[must_use]
    pub fn replaced(&self, some: &[usize], seed: u64) -> Self {
        let usual: Vec<usize> = (0..self.machines()).filter(|it| !some.contains(it)).collect();
        let mut replay = self.clone();
        if usual.is_empty() || some.is_empty() {
            return replay;
        }
        let mut stream = Stream::of_resampling(seed);
        let levels: Vec<f64> = (0..self.steps())
            .map(|step| {
                let times =
                    usual.iter().map(|&replica| Cell::of(replica, self.time(step, replica)));
                level(&times.collect::<Vec<_>>())
            })
            .collect();
        for step in 0..self.steps() {
            for &replica in some {
                let from = stream.below(self.steps());
                let time = self.time(from, usual[stream.below(usual.len())]);
                // Of one or two machines the level is the time itself.
                let scale = if usual.len() > 2 { levels[step] / levels[from] } else { 1.0 };
                replay.times[step * self.machines() + replica] =
                    Observation { seconds: time.seconds * scale, ..time };
            }
        }
        for &replica in some {
            let times = (0..self.steps()).map(|step| replay.time(step, replica)).collect();
            if let Some(machine) = Measured::new(times) {
                replay.machines[replica] = machine;
            }
        }
        replay
    }

    /// The machines' names.
    #[must_use]
    pub fn names(&self) -> &[i64] {
        &self.names
    }

    /// How many machines there are.
    #[must_use]
    pub fn machines(&self) -> usize {
        self.names.len()
    }

    /// How many steps are replayed.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.levels.len()
    }

    /// Each machine's own times.
    pub(super) fn measured(&self) -> &[Measured] {
        &self.machines
    }

    /// A machine's time in a step.
    pub(super) fn time(&self, step: usize, machine: usize) -> Observation {
        self.times[step * self.machines() + machine]
    }

    /// A time such as a machine's in a step, but of another machine of the same kind.
    pub(super) fn like(&self, step: usize, machine: usize, stream: &mut Stream) -> Observation {
        let from = stream.below(self.steps());
        let time = self.time(from, machine);
        Observation { seconds: time.seconds * self.levels[step] / self.levels[from], ..time }
    }

    /// What a step takes beside computing.
    pub(super) fn update(&self, step: usize) -> f64 {
        self.updates[step]
    }

    /// The steps in another order, with repetition: stretches of them, so that what lasts for some
    /// steps still does.
    pub(super) fn resampled(&self, stream: &mut Stream) -> Vec<usize> {
        let steps = self.steps();
        let stretch = (steps as f64).sqrt().ceil() as usize;
        let mut places = Vec::with_capacity(steps + stretch);
        while places.len() < steps {
            let first = stream.below(steps);
            places.extend((first..first + stretch).map(|place| place % steps));
        }
        places.truncate(steps);
        places
    }

    /// What 0 to so many backups would have given.
    #[must_use]
    pub fn gains(&self, most_backups: usize, seed: u64) -> Vec<Gain> {
        let machines = self.machines();
        let times = self.step_times(most_backups.min(machines.saturating_sub(1)));
        let all = &times[0];
        let gains = times.iter().enumerate().map(|(backups, times)| {
            let aggregate = machines - backups;
            let faster = |of: &[f64], all: &[f64]| mean(all) / mean(of).max(f64::MIN_POSITIVE);
            let ratio = faster(&times.seconds, &all.seconds);
            Gain {
                replicas_to_aggregate: aggregate,
                backups,
                step_seconds: mean(&times.seconds),
                faster: ratio,
                plus_minus: self.half_width(seed, |places| {
                    let of = |seconds: &[f64]| {
                        mean(&places.iter().map(|it| seconds[*it]).collect::<Vec<_>>())
                    };
                    of(&all.seconds) / of(&times.seconds).max(f64::MIN_POSITIVE)
                }),
                work_each: ratio * aggregate as f64 / machines as f64,
                lower_bound: times.is_bound(),
            }
        });
        gains.collect()
    }

    /// Half the width of a 95 % interval for a number that steps give.
    pub(super) fn half_width(&self, seed: u64, number: impl Fn(&[usize]) -> f64) -> f64 {
        let mut stream = Stream::of_resampling(seed);
        let numbers = (0..RESAMPLES).map(|_| number(&self.resampled(&mut stream)));
        Z * deviation(&numbers.collect::<Vec<_>>())
    }

    /// What each step takes with 0 to so many backups, fewer than there are machines.
    pub(super) fn step_times(&self, most_backups: usize) -> Vec<StepTimes> {
        let mut of: Vec<StepTimes> = (0..=most_backups).map(|_| StepTimes::default()).collect();
        for step in 0..self.steps() {
            let times = (0..self.machines()).map(|machine| self.time(step, machine));
            let (sorted, known) = in_order(times.collect());
            for (backups, of) in of.iter_mut().enumerate() {
                let aggregate = sorted.len() - backups;
                of.seconds.push(sorted[aggregate - 1] + self.update(step));
                of.unknown += usize::from(aggregate > known);
            }
        }
        of
    }
}

/// What the steps of one choice take.
#[derive(Debug, Default)]
pub(super) struct StepTimes {
    pub(super) seconds: Vec<f64>,
    /// How many are lower bounds.
    pub(super) unknown: usize,
}

impl StepTimes {
    pub(super) fn is_bound(&self) -> bool {
        self.unknown as f64 > MOST_UNKNOWN * self.seconds.len() as f64
    }
}

/// Times ascending, and how many are known: what was given up comes after all that finished, and is
/// at least as long.
pub(super) fn in_order(mut times: Vec<Observation>) -> (Vec<f64>, usize) {
    times.sort_by(|a, b| b.finished.cmp(&a.finished).then(a.seconds.total_cmp(&b.seconds)));
    let known = times.iter().filter(|time| time.finished).count();
    let mut longest = 0.0_f64;
    let seconds = times.iter().map(|time| {
        longest = longest.max(time.seconds);
        longest
    });
    (seconds.collect(), known)
}

/// Each machine's times against the levels of their steps.
fn ratios(trace: &Trace) -> Vec<Measured> {
    let mut ratios = vec![Vec::new(); trace.replicas().len()];
    for cells in trace.by_step() {
        let level = level(cells);
        for &Cell { replica, seconds, finished } in cells {
            ratios[replica].push(Observation { seconds: seconds / level, finished });
        }
    }
    ratios.into_iter().filter_map(Measured::new).collect()
}

/// What is usual in a step, even where no replica finished; above zero.
fn level(cells: &[Cell]) -> f64 {
    let level = relative::level(cells).or_else(|| {
        let all: Vec<Cell> = cells.iter().map(|cell| Cell { finished: true, ..*cell }).collect();
        relative::level(&all)
    });
    level.unwrap_or(0.0).max(1e-9)
}

#[cfg(test)]
mod tests;
