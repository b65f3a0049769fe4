//! Which replicas are slow, for how long, and with which others: what a trace tells of its
//! replicas.
//!
//! No clock and no random number: the same trace gives the same answer. Its invariant: where the
//! times of a step are drawn by chance, alike for all replicas, it names a replica in fewer than
//! two of a hundred traces, however many replicas there are. The tests are of ranks within steps,
//! so that they hold for any distribution; what a replica's slowness in a row is worth is taken
//! into account.

mod episodes;
mod groups;

use serde::Serialize;

use super::chance::{self, Median, median};
use super::relative::{self, Relative};
use super::trace::Trace;

pub use episodes::Episode;

/// What a trace tells of its replicas.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// How many steps there are.
    pub steps: usize,
    /// Each replica, by name.
    pub replicas: Vec<Standing>,
    /// Stretches in which a usually fast replica was slow, the earliest first.
    pub episodes: Vec<Episode>,
    /// Replicas that were slow in the same steps, by name.
    pub groups: Vec<Vec<i64>>,
    /// For the replicas that are not always slow, outside the episodes: how long the slowest takes
    /// over their median, in the mean step.
    pub spread: f64,
    /// For the same: the correlation of slowness with that in the step before, from -1 to 1.
    pub lag_1: f64,
    /// What makes the unnamed replicas slow.
    pub rest: Rest,
}

/// One replica.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Its name.
    pub replica: i64,
    /// In how many steps it can be compared with the others.
    pub steps: usize,
    /// How long it takes over the median of the others, in the median of the steps.
    pub factor: f64,
    /// Whether that is a lower bound, since most of its batches were given up.
    pub at_least: bool,
    /// In which part of the steps it is the slowest, or among those that were given up.
    pub slowest: f64,
    /// In which part it would be so by chance.
    pub by_chance: f64,
    /// The correlation of its slowness with that in the step before, from -1 to 1.
    pub lag_1: f64,
    /// The verdict on it.
    pub verdict: Verdict,
}

/// The verdict on a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Like the others, as far as can be told.
    Usual,
    /// Slow from the first to the last step, and more than a little.
    Slow,
    /// Last from the first to the last step; its slowness cannot be measured, since its batches
    /// were given up.
    Last,
}

/// What makes the other replicas slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rest {
    /// They are hardly ever slow.
    Even,
    /// Different replicas are slow each time: by chance, or with the batch. Times alone do not tell
    /// which.
    Wanders,
    /// A replica that is slow in a step is likely to be so in the next one.
    Lasts,
}

/// A replica that takes less than this over the others is not worth a name.
const LEAST_FACTOR: f64 = 1.1;
/// How often chance may name a replica that is not slow, over all replicas.
const FALSE_ALARMS: f64 = 0.01;
/// Parts of a trace in each of which a slow replica must be slow, if there are enough steps.
const PARTS: usize = 4;
const STEPS_OF_A_PART: usize = 5;
/// A step whose slowest takes less than this over the median is even.
const EVEN: f64 = 1.1;
/// From here on slowness lasts.
const LASTS: f64 = 0.3;

impl Diagnosis {
    /// What a trace tells.
    #[must_use]
    pub fn of(trace: &Trace) -> Self {
        let relatives = relative::by_replica(trace);
        let names = trace.replicas();
        let standings = names.iter().zip(&relatives);
        let replicas: Vec<Standing> =
            standings.map(|(name, steps)| Standing::of(*name, steps, names.len())).collect();
        let slow = episodes::slow_steps(&relatives);
        let episodes = episodes::find(trace, &relatives, &slow);
        let groups = groups::find(names, &slow);
        // What has been named explains the rest no more.
        let is_named = |replica: usize, step: usize| {
            let step = trace.steps()[step];
            replicas[replica].verdict != Verdict::Usual
                || episodes
                    .iter()
                    .any(|it| it.replica == names[replica] && (it.from..=it.to).contains(&step))
        };
        let spread = spread(trace, is_named);
        let lag_1 = lag_1_of_all(&relatives, is_named);
        let rest = match () {
            () if spread < EVEN => Rest::Even,
            () if lag_1 < LASTS => Rest::Wanders,
            () => Rest::Lasts,
        };
        Self { steps: trace.steps().len(), replicas, episodes, groups, spread, lag_1, rest }
    }

    /// The replicas that are always slow, by their place.
    #[must_use]
    pub fn slow(&self) -> Vec<usize> {
        let places = self.replicas.iter().enumerate();
        let slow = places.filter(|(_, it)| it.verdict != Verdict::Usual);
        slow.map(|(place, _)| place).collect()
    }
}

impl Standing {
    fn of(replica: i64, steps: &[Relative], replicas: usize) -> Self {
        let factor = median_log(steps);
        let part = |of: fn(&Relative) -> f64| {
            crate::stats::mean(&steps.iter().map(of).collect::<Vec<_>>())
        };
        Self {
            replica,
            steps: steps.len(),
            factor: libm::exp(factor.value),
            at_least: factor.at_least,
            slowest: part(|it| f64::from(u8::from(it.slowest))),
            by_chance: part(|it| it.chance_slowest),
            lag_1: lag_1(steps),
            verdict: verdict(steps, factor, replicas),
        }
    }
}

fn median_log(steps: &[Relative]) -> Median {
    median(steps.iter().map(|it| (it.log, it.finished)))
}

/// Over the steps in which it finished, if it usually did.
fn lag_1(steps: &[Relative]) -> f64 {
    let finished = steps.iter().filter(|it| it.finished).map(|it| it.log);
    let finished: Vec<f64> = finished.collect();
    if 2 * finished.len() < steps.len() { 0.0 } else { chance::lag_1(&finished) }
}

fn verdict(steps: &[Relative], factor: Median, replicas: usize) -> Verdict {
    // Slow steps in a row are one piece of bad luck rather than many.
    let trials = chance::worth(steps.len(), lag_1(steps)).floor() as usize;
    if !is_beyond_chance(steps, trials, replicas) {
        return Verdict::Usual;
    }
    let least = libm::log(LEAST_FACTOR);
    if factor.value >= least && parts(steps).all(|part| median_log(part).value >= least / 2.0) {
        return Verdict::Slow;
    }
    let is_mostly_last = |part: &[Relative]| {
        let last = part.iter().filter(|it| it.slowest).count();
        2 * last > part.len()
    };
    if factor.at_least && parts(steps).all(is_mostly_last) { Verdict::Last } else { Verdict::Usual }
}

/// Whether it is the slowest, or in the slower half, more often than chance would make one of so
/// many replicas, if its steps are worth so many trials.
fn is_beyond_chance(steps: &[Relative], trials: usize, replicas: usize) -> bool {
    let tail = |hits: fn(&Relative) -> bool, chance: fn(&Relative) -> f64| {
        let count = steps.iter().filter(|it| hits(it)).count();
        let p = crate::stats::mean(&steps.iter().map(chance).collect::<Vec<_>>());
        let hits = count as f64 / steps.len().max(1) as f64 * trials as f64;
        chance::at_least(hits.floor() as usize, trials, p)
    };
    let slowest = tail(|it| it.slowest, |it| it.chance_slowest);
    let half = tail(|it| it.in_slower_half, |it| it.chance_slower_half);
    // Two looks at each replica.
    slowest.min(half) * 2.0 * replicas as f64 <= FALSE_ALARMS
}

/// The parts of a replica's steps, of about the same length.
fn parts(steps: &[Relative]) -> impl Iterator<Item = &[Relative]> {
    let count = (steps.len() / STEPS_OF_A_PART).clamp(1, PARTS);
    steps.chunks(steps.len().div_ceil(count).max(1))
}

/// The mean over the steps of the slowest over the median, among the unnamed ones.
fn spread(trace: &Trace, is_named: impl Fn(usize, usize) -> bool) -> f64 {
    let ratios = trace.by_step().enumerate().filter_map(|(step, cells)| {
        let cells = cells.iter().filter(|cell| !is_named(cell.replica, step));
        let cells: Vec<_> = cells.copied().collect();
        let level = relative::level(&cells).filter(|level| *level > 0.0)?;
        let slowest = cells.iter().map(|cell| cell.seconds).fold(0.0, f64::max);
        Some((slowest / level).max(1.0))
    });
    let ratios: Vec<f64> = ratios.collect();
    if ratios.is_empty() { 1.0 } else { crate::stats::mean(&ratios) }
}

/// The mean of each replica's values, weighted by its steps.
fn lag_1_of_all(replicas: &[Vec<Relative>], is_named: impl Fn(usize, usize) -> bool) -> f64 {
    let (mut sum, mut all) = (0.0, 0.0);
    for (replica, steps) in replicas.iter().enumerate() {
        let steps = steps.iter().filter(|it| !is_named(replica, it.step));
        let steps: Vec<Relative> = steps.copied().collect();
        sum += steps.len() as f64 * lag_1(&steps);
        all += steps.len() as f64;
    }
    sum / f64::max(all, 1.0)
}

#[cfg(test)]
mod tests;
