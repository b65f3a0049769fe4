//! How many backups? Choices of A and N are simulated many times over, and compared.
//!
//! Every choice meets the same random numbers, so that differences between choices are surer than
//! the choices themselves. What the machines are like is either a law, or was measured; what was
//! measured is drawn anew, with repetition, for each replication, so that the intervals also tell
//! how little was measured.

mod estimate;
mod iterations;
mod measured;

use serde::Serialize;

pub use iterations::{Iterations, IterationsError};
pub use measured::{Measured, Observation};

use crate::plan::{Mode, Plan};
use estimate::{Candidate, Estimate, estimate};

/// What the machines are like, and how the steps go.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Laws and rules; its A and N do not matter.
    pub plan: Plan,
    /// What was measured, a machine each; then the plan's law of computing does not matter.
    pub measured: Vec<Measured>,
}

/// One choice of A and N.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// A.
    pub replicas_to_aggregate: usize,
    /// N.
    pub total_num_replicas: usize,
    /// N - A.
    pub backups: usize,
    /// The expected seconds of a step.
    pub step_seconds: f64,
    /// Half the width of its 95 % interval.
    pub plus_minus: f64,
    /// The standard deviation of a step's seconds.
    pub deviation: f64,
    /// Half of the steps take less.
    pub p50: f64,
    /// Of the steps 95 % take less.
    pub p95: f64,
    /// Gradients in vain, for each step.
    pub wasted_per_step: f64,
    /// The part of all computing that is in vain.
    pub wasted_compute: f64,
    /// What is to be small: for a fleet the seconds of training (or of each gradient, where the
    /// number of gradients counts), for a batch the machine-seconds of a step.
    pub cost: f64,
    /// Whether the machines that it needs were never seen to finish, so that its times are lower
    /// bounds.
    pub lower_bound: bool,
}

/// The best of some choices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Best {
    /// Its place among the choices.
    pub index: usize,
    /// The places of the first and the last choice that is as good, as far as can be told.
    pub as_good: (usize, usize),
}

/// Choices, from few backups to many or the other way, and the best.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// All that were simulated.
    pub choices: Vec<Choice>,
    /// The least cost.
    pub best: Best,
    /// The shortest step.
    pub fastest: Best,
}

/// A fixed fleet of machines: which A trains fastest?
///
/// All `machines` compute, and A of them make a step. Fewer gradients a step make quicker steps of
/// which more are needed: `iterations` says how many.
#[must_use]
pub fn fixed_fleet(fleet: &Fleet, machines: usize, iterations: &Iterations) -> Advice {
    const MOST: usize = 41;
    let least = if machines <= 16 { 1 } else { machines.div_ceil(2) };
    let candidates = |from: usize, to: usize| {
        let step = ((to - from) / (MOST - 1)).max(1);
        let mut list: Vec<usize> = (from..=to).rev().step_by(step).collect();
        list.reverse();
        list
    };
    let advise = |list: &[usize]| {
        let candidates = list.iter().map(|&aggregate| Candidate {
            aggregate,
            total: machines,
            weight: iterations.needed(aggregate, machines),
            shuffled: false,
        });
        advise(fleet, &candidates.collect::<Vec<_>>())
    };
    let coarse = candidates(least, machines);
    let advice = advise(&coarse);
    let at = advice.best.index;
    let (from, to) = (coarse[at.saturating_sub(1)], coarse[(at + 1).min(coarse.len() - 1)]);
    if to - from <= 2 {
        return advice;
    }
    // A second look at what lies between the neighbours of the best.
    let mut fine = candidates(from, to);
    fine.extend(coarse.iter().filter(|&&aggregate| aggregate < from || aggregate > to));
    fine.sort_unstable();
    advise(&fine)
}

/// A fixed batch of `gradients` a step: how many machines more than that?
#[must_use]
pub fn fixed_batch(fleet: &Fleet, gradients: usize, most_backups: usize) -> Advice {
    let candidates = (0..=most_backups).map(|backups| Candidate {
        aggregate: gradients,
        total: gradients + backups,
        weight: (gradients + backups) as f64,
        shuffled: true,
    });
    advise(fleet, &candidates.collect::<Vec<_>>())
}

fn advise(fleet: &Fleet, candidates: &[Candidate]) -> Advice {
    let replica_steps = candidates.iter().map(|it| it.total.max(it.aggregate)).sum();
    let estimates: Vec<Estimate> =
        candidates.iter().map(|candidate| estimate(fleet, candidate, replica_steps)).collect();
    let is_measured = !fleet.measured.is_empty();
    let costs = |estimate: &Estimate, weight: f64| -> Vec<f64> {
        estimate.means.iter().map(|mean| mean * weight).collect()
    };
    let weighted: Vec<Vec<f64>> =
        candidates.iter().zip(&estimates).map(|(it, e)| costs(e, it.weight)).collect();
    let plain: Vec<Vec<f64>> = estimates.iter().map(|e| costs(e, 1.0)).collect();
    let known: Vec<bool> = estimates.iter().map(|estimate| !estimate.lower_bound).collect();
    let choices = candidates.iter().zip(&estimates).map(|(it, estimate)| Choice {
        replicas_to_aggregate: it.aggregate,
        total_num_replicas: it.total,
        backups: it.total.saturating_sub(it.aggregate),
        step_seconds: estimate.mean(),
        plus_minus: estimate::half_width(&estimate.means, is_measured),
        deviation: estimate.deviation,
        p50: estimate.p50,
        p95: estimate.p95,
        wasted_per_step: estimate.wasted_per_step,
        wasted_compute: estimate.wasted_compute,
        cost: estimate.mean() * it.weight,
        lower_bound: estimate.lower_bound,
    });
    Advice {
        choices: choices.collect(),
        best: best(&weighted, &known, is_measured),
        fastest: best(&plain, &known, is_measured),
    }
}

/// The least mean cost, among the known ones if there are any, and what is not surely worse.
fn best(costs: &[Vec<f64>], known: &[bool], is_measured: bool) -> Best {
    let any = known.contains(&true);
    let places = || (0..costs.len()).filter(|&place| known[place] || !any);
    let mean = |place: usize| crate::stats::mean(&costs[place]);
    let index = places().min_by(|a, b| mean(*a).total_cmp(&mean(*b))).unwrap_or(0);
    let as_good = |place: &usize| {
        let more: Vec<f64> =
            costs[*place].iter().zip(&costs[index]).map(|(one, best)| one - best).collect();
        crate::stats::mean(&more) <= estimate::half_width(&more, is_measured)
    };
    let good: Vec<usize> = places().filter(as_good).collect();
    let ends = good.first().zip(good.last()).map(|(first, last)| (*first, *last));
    Best { index, as_good: ends.unwrap_or((index, index)) }
}

/// A fleet whose machines all follow a plan's laws.
impl From<Plan> for Fleet {
    fn from(plan: Plan) -> Self {
        Self { plan, measured: Vec::new() }
    }
}

impl Fleet {
    /// The same by the formula instead of the engine.
    #[must_use]
    pub fn in_mode(mut self, mode: Mode) -> Self {
        self.plan.mode = mode;
        self
    }
}
