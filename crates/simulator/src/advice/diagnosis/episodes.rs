//! Stretches in which a usually fast replica is slow.
//!
//! A step counts as slow if the replica takes a quarter more than it usually does against the
//! others, or was given up. A stretch is found where slow steps are so dense that chance, at the
//! rate of all replicas, would hardly make one such anywhere in the trace (a sum of likelihood
//! ratios above `ln(trials / level)`, which Wald's inequality bounds).

use serde::Serialize;

use super::super::relative::Relative;
use super::super::trace::Trace;
use super::{FALSE_ALARMS, LEAST_FACTOR, is_beyond_chance, median_log, parts};

/// A replica slow from one step to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Episode {
    /// Its name.
    pub replica: i64,
    /// The number of the first slow step.
    pub from: i64,
    /// The number of the last one.
    pub to: i64,
    /// How many of the trace's steps that is.
    pub steps: usize,
    /// How long it took over its usual time, against the others.
    pub factor: f64,
    /// Whether that is a lower bound, since most of its batches were given up.
    pub at_least: bool,
}

/// A slow step takes this over what the replica usually does.
const SLOW: f64 = 1.25;
/// The part of a stretch's steps that are slow.
const DENSE: f64 = 0.9;
/// Chance makes at least this part of all steps slow: if none is, a single one is no stretch yet.
const LEAST_RATE: f64 = 0.02;

/// For each replica, the places of its slow steps. For one that hardly ever finishes, the times of
/// giving up tell nothing.
pub(super) fn slow_steps(replicas: &[Vec<Relative>]) -> Vec<Vec<usize>> {
    let slow = |steps: &Vec<Relative>| {
        if 2 * steps.iter().filter(|it| it.finished).count() <= steps.len() {
            return Vec::new();
        }
        let bar = usual(steps, replicas.len()) + libm::log(SLOW);
        let is_slow = |it: &&Relative| it.log > bar || (!it.finished && it.slowest);
        steps.iter().filter(is_slow).map(|it| it.step).collect()
    };
    replicas.iter().map(slow).collect()
}

/// What a replica usually takes against the others: the median, or if that is too slow for chance,
/// that of its best part, since an episode may take most of the trace.
fn usual(steps: &[Relative], replicas: usize) -> f64 {
    let all = median_log(steps).value;
    if all < libm::log(LEAST_FACTOR) || !is_beyond_chance(steps, steps.len(), replicas) {
        return all;
    }
    parts(steps).map(|part| median_log(part).value).fold(all, f64::min)
}

/// The episodes of all replicas, the earliest first.
pub(super) fn find(trace: &Trace, replicas: &[Vec<Relative>], slow: &[Vec<usize>]) -> Vec<Episode> {
    let trials = replicas.iter().map(Vec::len).sum::<usize>().max(1);
    let hits: usize = slow.iter().map(Vec::len).sum();
    let rate = (hits as f64 / trials as f64).max(LEAST_RATE);
    let mut episodes = Vec::new();
    let enough = libm::log(trials as f64 / FALSE_ALARMS);
    for ((name, steps), slow) in trace.replicas().iter().zip(replicas).zip(slow) {
        let is_slow: Vec<bool> =
            steps.iter().map(|it| slow.binary_search(&it.step).is_ok()).collect();
        let usual = usual(steps, replicas.len());
        // Of a replica that hardly ever finishes no step counts as slow, so the rate of all may be
        // less than that at which others are given up.
        let given_up = steps.iter().filter(|it| !it.finished).map(|it| it.chance_slowest);
        let rate = given_up.fold(rate, f64::max).min(DENSE);
        for (from, to) in stretches(&is_slow, rate, enough) {
            let stretch = &steps[from..=to];
            let factor = median_log(stretch);
            episodes.push(Episode {
                replica: *name,
                from: trace.steps()[stretch[0].step],
                to: trace.steps()[steps[to].step],
                steps: stretch.len(),
                factor: libm::exp(factor.value - usual),
                at_least: factor.at_least,
            });
        }
    }
    episodes.sort_by_key(|episode| (episode.from, episode.replica));
    episodes
}

/// First and last places of the stretches that are `enough` against the rate of chance.
fn stretches(is_slow: &[bool], rate: f64, enough: f64) -> Vec<(usize, usize)> {
    let (hit, miss) = (libm::log(DENSE / rate), libm::log((1.0 - DENSE) / (1.0 - rate)));
    let mut stretches = Vec::new();
    let (mut sum, mut from, mut best, mut to) = (0.0_f64, 0, 0.0_f64, 0);
    for (place, is_slow) in is_slow.iter().enumerate() {
        if sum <= 0.0 {
            (sum, from, best) = (0.0, place, 0.0);
        }
        sum += if *is_slow { hit } else { miss };
        if sum > best {
            (best, to) = (sum, place);
        }
        // What was gained is lost again: the stretch ended where it was best.
        let is_over = sum <= 0.0 || sum <= best - enough;
        if is_over && best >= enough {
            stretches.push((from, to));
        }
        if is_over {
            (sum, best) = (0.0, 0.0);
        }
    }
    if best >= enough {
        stretches.push((from, to));
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_slow_steps_are_a_stretch() {
        #[track_caller]
        fn check(steps: &str, expected: &[(usize, usize)]) {
            let is_slow: Vec<bool> = steps.bytes().map(|step| step == b'x').collect();
            assert_eq!(stretches(&is_slow, 0.05, 10.0), expected, "{steps}");
        }
        check("", &[]);
        check("....x....x....x...", &[]);
        check("....xxxxxxxx......", &[(4, 11)]);
        check("xxx.xxxxxx", &[(0, 9)]);
        check("..xxxxx...........xxxxx", &[(2, 6), (18, 22)]);
        check("..xx..", &[]);
    }
}
