//! One choice of A and N, simulated many times over.

use engine::InitialTokens;

use super::{AdviceError, Fleet, Measured, Replay};
use crate::distribution::Distribution;
use crate::plan::Plan;
use crate::simulate;
use crate::stats::{Spread, deviation, mean};
use crate::stream::Stream;

/// How often each choice is simulated, with other random numbers each time.
pub(super) const REPLICATIONS: u64 = 20;
/// The 97.5 % quantile of Student's t with one degree of freedom less.
const T: f64 = 2.093;
/// That of the normal distribution.
const Z: f64 = 1.96;
/// About how many replica-steps all choices together may take: a few seconds.
pub(super) const BUDGET: usize = 10_000_000;
/// Steps before a run counts: all replicas begin the first one together.
const WARM_UP: usize = 10;
/// Steps that count in a run: no more than the first number, since intervals are then narrow
/// enough, and no fewer than the second, since they say nothing then.
const MOST_STEPS: usize = 2000;
const LEAST_STEPS: usize = 20;
/// Choices that are simulated at most, where there are many; and at least, whatever it takes.
const MOST_CHOICES: usize = 41;
const LEAST_CHOICES: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) aggregate: usize,
    pub(super) total: usize,
    /// The factor from the mean step to the cost.
    pub(super) weight: f64,
    /// Whether the machines are drawn from the measured ones, or are those themselves.
    pub(super) shuffled: bool,
}

#[derive(Default)]
pub(super) struct Estimate {
    /// The mean step of each replication.
    pub(super) means: Vec<f64>,
    pub(super) deviation: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) wasted_per_step: f64,
    pub(super) wasted_compute: f64,
    pub(super) lower_bound: bool,
}

impl Candidate {
    /// About how many replica-steps a step takes.
    pub(super) fn machines(&self) -> usize {
        self.total.max(self.aggregate)
    }
}

/// How many choices can be simulated of which the largest has so many machines.
pub(super) fn affordable(budget: usize, machines: usize) -> usize {
    let one = machines.max(1) * REPLICATIONS as usize * (WARM_UP + LEAST_STEPS);
    (budget / one).clamp(LEAST_CHOICES, MOST_CHOICES)
}

/// The replica-steps of all choices of so many machines, when there are more than can be simulated.
#[cfg(test)]
pub(super) fn replica_steps(budget: usize, machines: usize) -> usize {
    let a_step = affordable(budget, machines) * machines * REPLICATIONS as usize;
    a_step * (WARM_UP + steps(budget, a_step))
}

/// Steps that count, when one of all choices and replications together takes so many replica-steps.
fn steps(budget: usize, a_step: usize) -> usize {
    (budget / a_step.max(1)).clamp(LEAST_STEPS, MOST_STEPS)
}

impl Estimate {
    pub(super) fn mean(&self) -> f64 {
        mean(&self.means)
    }
}

/// Half the width of a 95 % interval for the subject of the replications: for resampled ones the
/// spread is that of the estimate itself, for independent ones it shrinks with their number.
pub(super) fn half_width(replications: &[f64], resampled: bool) -> f64 {
    match resampled {
        true => Z * deviation(replications),
        false => T * deviation(replications) / (replications.len().max(1) as f64).sqrt(),
    }
}

/// Simulates a choice; all choices of a question together take `replica_steps` for each step.
pub(super) fn estimate(
    budget: usize,
    fleet: &Fleet,
    candidate: &Candidate,
    replica_steps: usize,
) -> Result<Estimate, AdviceError> {
    let steps = steps(budget, replica_steps * REPLICATIONS as usize);
    let mut estimate = Estimate::default();
    let part = 1.0 / REPLICATIONS as f64;
    for replication in 0..REPLICATIONS {
        let (mut plan, unknown) = drawn(fleet, candidate, replication)?;
        plan.steps = (steps + WARM_UP) as u64;
        let outcome = simulate(&plan);
        let spread = Spread::of(outcome.step_seconds.get(WARM_UP..).unwrap_or(&[]));
        estimate.means.push(spread.mean);
        estimate.deviation += part * spread.deviation;
        estimate.p50 += part * spread.p50;
        estimate.p95 += part * spread.p95;
        estimate.wasted_per_step += part * outcome.report.wasted_per_step;
        estimate.wasted_compute += part * outcome.report.wasted_compute;
        // A step that needs one of the machines that were never seen to finish, or that was stuck.
        let needs_unknown = candidate.aggregate + unknown > candidate.total && unknown > 0;
        estimate.lower_bound |= needs_unknown || outcome.report.stuck.is_some();
    }
    Ok(estimate)
}

/// The plan of a replication, and how many of its machines were hardly seen to finish.
pub(super) fn drawn(
    fleet: &Fleet,
    candidate: &Candidate,
    replication: u64,
) -> Result<(Plan, usize), AdviceError> {
    let mut plan = fleet.plan.with(|settings| {
        settings.replicas_to_aggregate = candidate.aggregate;
        settings.total_num_replicas = Some(candidate.total);
        // A wasted round at the start would count for too much in so short a run.
        settings.initial_tokens = InitialTokens::Fewest;
    })?;
    plan.seed = fleet.plan.seed.wrapping_add(replication);
    let Some(measured) = fleet.measured.as_ref().map(Replay::measured) else {
        return Ok((plan, 0));
    };
    let mut stream = Stream::of_resampling(plan.seed);
    let mut unknown = 0;
    plan.replicas.clear();
    for replica in 0..candidate.total {
        let count = measured.len();
        let which = if candidate.shuffled { stream.below(count) } else { replica % count };
        let machine: &Measured = &measured[which];
        let (seconds, bounds) = machine.resample(&mut stream);
        unknown += usize::from(2 * bounds > seconds.len());
        plan.replicas.insert(replica as u64, Distribution::samples(&seconds)?);
    }
    Ok((plan, unknown))
}
