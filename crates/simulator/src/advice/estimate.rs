//! One choice of A and N, simulated many times over.

use sync_replicas::engine::InitialTokens;

use super::{Fleet, Measured};
use crate::law::Law;
use crate::plan::Plan;
use crate::simulate;
use crate::stats::{Spread, deviation, mean};
use crate::stream::Stream;

/// How often each choice is simulated, with other random numbers each time.
const REPLICATIONS: u64 = 20;
/// The 97.5 % quantile of Student's t with one degree of freedom less.
const T: f64 = 2.093;
/// That of the normal distribution.
const Z: f64 = 1.96;
/// Replica-steps that all choices together may take, more or less: a few seconds.
const BUDGET: usize = 10_000_000;
/// Steps before a run counts: all replicas begin the first one together.
const WARM_UP: usize = 10;

#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) aggregate: usize,
    pub(super) total: usize,
    /// What the mean step is multiplied by to get the cost.
    pub(super) weight: f64,
    /// Whether the machines are drawn from those measured, rather than being those.
    pub(super) shuffled: bool,
}

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

impl Estimate {
    pub(super) fn mean(&self) -> f64 {
        mean(&self.means)
    }
}

/// Half the width of a 95 % interval for what the replications are about: of resampled ones the
/// spread is that of the estimate itself, of independent ones it shrinks with their number.
pub(super) fn half_width(replications: &[f64], resampled: bool) -> f64 {
    match resampled {
        true => Z * deviation(replications),
        false => T * deviation(replications) / (replications.len().max(1) as f64).sqrt(),
    }
}

/// Simulates a choice; all choices of a question together take `replica_steps` for each step.
pub(super) fn estimate(fleet: &Fleet, candidate: &Candidate, replica_steps: usize) -> Estimate {
    let all = replica_steps.max(1) * REPLICATIONS as usize;
    let steps = (BUDGET / all).clamp(100, 2000);
    let mut estimate = Estimate {
        means: Vec::new(),
        deviation: 0.0,
        p50: 0.0,
        p95: 0.0,
        wasted_per_step: 0.0,
        wasted_compute: 0.0,
        lower_bound: false,
    };
    let part = 1.0 / REPLICATIONS as f64;
    for replication in 0..REPLICATIONS {
        let Some((mut plan, unknown)) = drawn(fleet, candidate, replication) else { continue };
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
    estimate
}

/// The plan of a replication, and how many of its machines were hardly seen to finish.
fn drawn(fleet: &Fleet, candidate: &Candidate, replication: u64) -> Option<(Plan, usize)> {
    let plan = fleet.plan.with(|settings| {
        settings.replicas_to_aggregate = candidate.aggregate;
        settings.total_num_replicas = Some(candidate.total);
        // A wasted round at the start would count for too much in so short a run.
        settings.initial_tokens = InitialTokens::Fewest;
    });
    let mut plan = plan.ok()?;
    plan.seed = fleet.plan.seed.wrapping_add(replication);
    if fleet.measured.is_empty() {
        return Some((plan, 0));
    }
    let mut stream = Stream::of_resampling(plan.seed);
    let mut unknown = 0;
    plan.replicas.clear();
    for replica in 0..candidate.total {
        let count = fleet.measured.len();
        let which = if candidate.shuffled { stream.below(count) } else { replica % count };
        let machine: &Measured = &fleet.measured[which];
        let (seconds, bounds) = machine.resample(&mut stream);
        unknown += usize::from(2 * bounds > seconds.len());
        plan.replicas.insert(replica as u64, Law::samples(&seconds).ok()?);
    }
    Some((plan, unknown))
}
