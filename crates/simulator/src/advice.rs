//! How many backups? Choices of A and N are simulated many times over, and compared.
//!
//! Every choice meets the same random numbers, so that differences between choices are surer than
//! the choices themselves. The machines follow a distribution or were measured; measured times are
//! drawn anew, with repetition, for each replication, so that the intervals also show how little
//! was measured. A [`Trace`] of measured times also tells which replicas are slow ([`Diagnosis`]),
//! and what each choice would have given on its own steps ([`Replay`]).

mod bootstrap;
mod chance;
mod diagnosis;
mod estimate;
mod formula;
mod iterations;
mod measured;
mod relative;
mod remedy;
mod replay;
mod search;
mod trace;

use engine::ConfigError;
use serde::Serialize;

pub use diagnosis::{Diagnosis, Episode, Rest, Standing, Verdict};
pub use iterations::{Iterations, IterationsError};
pub use measured::{Measured, Observation};
pub use remedy::{Remedy, Work};
pub use replay::{Gain, Replay};
pub use trace::{Row, Trace, TraceError};

use crate::distribution::NumberError;
use crate::plan::{Mode, Plan};
use estimate::{BUDGET, Candidate, Estimate};
use search::Search;

/// What the machines are like, and how the steps go.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Distributions and rules; its A and N do not matter.
    pub plan: Plan,
    /// Measured times; then the plan's computing times do not matter.
    ///
    /// Steps are drawn as wholes, so what machines have in common is kept. Machines are drawn
    /// independently only where no replica is told that a step is over: then they come apart.
    pub measured: Option<Replay>,
}

/// One choice of A and N.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// A, the gradients that a step needs.
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
    /// Gradients wasted, for each step.
    pub wasted_per_step: f64,
    /// The part of all computing that is wasted.
    pub wasted_compute: f64,
    /// What to minimize: for a fleet the seconds of training (or of each gradient, where the
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
    /// Whether one as good lies at an end of the compared range that is not an end of the whole
    /// range, so that there may be better ones beyond.
    pub at_edge: bool,
}

/// Choices, from few backups to many or the other way, and the best.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// All that were simulated.
    pub choices: Vec<Choice>,
    /// How many more choices were compared by the formula alone, each of them, and looked worse or
    /// no better than these.
    pub by_formula_alone: usize,
    /// The least cost.
    pub best: Best,
    /// The shortest step.
    pub fastest: Best,
}

/// Why there is no advice.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AdviceError {
    /// A or N is impossible, or does not fit the plan.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A measured time is invalid.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// The number of steps is not known for any A of this fleet.
    #[error(
        "expected points A=STEPS around some A from 1 to {machines}, the machines of the fleet; \
         got {points}, and nothing is known beyond them; measure steps for such an A"
    )]
    NothingKnown {
        /// N.
        machines: usize,
        /// The range of A that the points cover.
        points: String,
    },
}

/// A fixed fleet of machines: which A trains fastest?
///
/// All `machines` compute, and A of them make a step. With fewer gradients a step, steps are
/// quicker and more of them are needed: `iterations` says how many, and where it does not know, A
/// is no choice. Every A is considered: all are simulated if there are few, otherwise the formula
/// compares all first, and the best of them and some all over the range are simulated.
///
/// # Errors
/// [`AdviceError`].
pub fn fixed_fleet(
    fleet: &Fleet,
    machines: usize,
    iterations: &Iterations,
) -> Result<Advice, AdviceError> {
    fixed_fleet_within(BUDGET, fleet, machines, iterations)
}

fn fixed_fleet_within(
    budget: usize,
    fleet: &Fleet,
    machines: usize,
    iterations: &Iterations,
) -> Result<Advice, AdviceError> {
    // An N that cannot be is an error before it is a range.
    fleet.plan.with(|settings| settings.total_num_replicas = Some(machines))?;
    let candidate = |aggregate: usize| {
        let weight = iterations.needed(aggregate, machines)?;
        Some(Candidate { aggregate, total: machines, weight, shuffled: false })
    };
    let candidates: Vec<_> = (1..=machines).filter_map(candidate).collect();
    let Some((first, last)) = candidates.first().zip(candidates.last()) else {
        let points = iterations.to_string();
        return Err(AdviceError::NothingKnown { machines, points });
    };
    let open = (first.aggregate > 1, last.aggregate < machines);
    Search { budget, fleet, candidates: &candidates, open }.advise()
}

/// A fixed batch of `gradients` a step: how many machines more than that?
///
/// All numbers up to `most_backups` are considered, as in [`fixed_fleet`].
///
/// # Errors
/// [`AdviceError`].
pub fn fixed_batch(
    fleet: &Fleet,
    gradients: usize,
    most_backups: usize,
) -> Result<Advice, AdviceError> {
    fixed_batch_within(BUDGET, fleet, gradients, most_backups)
}

fn fixed_batch_within(
    budget: usize,
    fleet: &Fleet,
    gradients: usize,
    most_backups: usize,
) -> Result<Advice, AdviceError> {
    fleet.plan.with(|settings| {
        settings.replicas_to_aggregate = gradients;
        settings.total_num_replicas = Some(gradients.saturating_add(most_backups));
    })?;
    let candidates = (0..=most_backups).map(|backups| Candidate {
        aggregate: gradients,
        total: gradients + backups,
        weight: (gradients + backups) as f64,
        shuffled: true,
    });
    let candidates: Vec<_> = candidates.collect();
    Search { budget, fleet, candidates: &candidates, open: (false, true) }.advise()
}

impl Choice {
    fn new(candidate: &Candidate, estimate: &Estimate, is_measured: bool) -> Self {
        Self {
            replicas_to_aggregate: candidate.aggregate,
            total_num_replicas: candidate.total,
            backups: candidate.total.saturating_sub(candidate.aggregate),
            step_seconds: estimate.mean(),
            plus_minus: estimate::half_width(&estimate.means, is_measured),
            deviation: estimate.deviation,
            p50: estimate.p50,
            p95: estimate.p95,
            wasted_per_step: estimate.wasted_per_step,
            wasted_compute: estimate.wasted_compute,
            cost: estimate.mean() * candidate.weight,
            lower_bound: estimate.lower_bound,
        }
    }
}

/// A fleet whose machines all follow a plan's distributions.
impl From<Plan> for Fleet {
    fn from(plan: Plan) -> Self {
        Self { plan, measured: None }
    }
}

impl Fleet {
    /// Measured steps, if they are what a choice would have made of them: a late machine is
    /// stopped, and begins the next step with the others.
    fn steps(&self) -> Option<&Replay> {
        let told = self.plan.config.settings().tell_superseded;
        self.measured.as_ref().filter(|_| told || self.plan.mode == Mode::Ideal)
    }

    /// The same by the formula instead of the engine.
    #[must_use]
    pub fn in_mode(mut self, mode: Mode) -> Self {
        self.plan.mode = mode;
        self
    }
}

#[cfg(test)]
mod tests;
