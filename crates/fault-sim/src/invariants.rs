//! What must hold in every run, one file each, with its source at the top.
//!
//! An invariant sees the facts of a run in their order and keeps its own books: it reads nothing of
//! the engine's state, so that it cannot believe a wrong one. Nothing here changes the run.

use std::collections::BTreeSet;
use std::time::Duration;

use super::mix::{Mix, ROWS};

mod acknowledged;
mod at_most_once;
mod checkpoints;
mod computes;
mod divisor;
pub(super) mod ending;
mod fact;
mod fencing;
mod global_step;
mod lanes;
mod leases;
mod order;
pub(super) mod progress;
pub(super) mod replay;
mod shares;
mod staleness;
mod superseded;
mod tokens;
mod values;
mod whole_steps;

pub(super) use fact::{Contributor, Fact, gradient};

/// One rule and the books that it needs.
trait Invariant: std::fmt::Debug {
    /// Its number and text.
    fn name(&self) -> &'static str;

    /// # Errors
    /// What broke it, in words.
    fn observe(&mut self, now: Duration, fact: &Fact<'_>) -> Result<(), String>;
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {what}")]
pub struct Broken {
    /// Its number and text.
    pub invariant: &'static str,
    /// What came instead.
    pub what: String,
}

/// All invariants that are judged fact by fact.
#[derive(Debug)]
pub(super) struct Witnesses {
    all: Vec<Box<dyn Invariant>>,
    /// Judged at the end of the run, but it must see the facts too.
    pub(super) hang_law: progress::HangLaw,
    decided: BTreeSet<Contributor>,
}

impl Witnesses {
    pub(super) fn new(mix: &Mix) -> Self {
        let all: Vec<Box<dyn Invariant>> = vec![
            Box::new(staleness::Staleness::new(mix)),
            Box::new(divisor::Divisor::new(mix)),
            Box::new(order::StepOrder::new(mix)),
            Box::new(tokens::Conservation::new(mix)),
            Box::new(global_step::Monotone::default()),
            Box::new(at_most_once::AtMostOnce::new(mix)),
            Box::new(acknowledged::Acknowledged::default()),
            Box::new(whole_steps::WholeSteps::new(mix)),
            Box::new(fencing::Fencing::default()),
            Box::new(values::Values::new(mix)),
            Box::new(checkpoints::Checkpoints::default()),
            Box::new(shares::ReplicaOrder::new(mix)),
            Box::new(superseded::ToldRightly::new(mix)),
            Box::new(leases::Leases::new(mix)),
            Box::new(computes::Computes::default()),
        ];
        Self { all, hang_law: progress::HangLaw::new(mix), decided: BTreeSet::new() }
    }

    /// Whether the coordinator has decided on a contribution.
    pub(super) fn is_decided(&self, by: Contributor) -> bool {
        self.decided.contains(&by)
    }

    /// # Errors
    /// The first invariant that the fact breaks.
    pub(super) fn observe(&mut self, now: Duration, fact: &Fact<'_>) -> Result<(), Broken> {
        self.hang_law.observe(fact);
        if let Fact::Decided { push, .. } = fact {
            self.decided.insert(Contributor::of(push));
        }
        for invariant in &mut self.all {
            if let Err(what) = invariant.observe(now, fact) {
                return Err(Broken { invariant: invariant.name(), what });
            }
        }
        Ok(())
    }
}

/// The most lanes possible: one for each variable, or one for all.
fn lanes(mix: &Mix) -> usize {
    match mix.config.settings().admission {
        engine::Admission::Together => 1,
        engine::Admission::PerVariable => mix.variables,
    }
}

/// The elements of the variables of a lane.
fn elements_of(lane: usize, mix: &Mix) -> std::ops::Range<usize> {
    match mix.config.settings().admission {
        engine::Admission::Together => 0..mix.variables * ROWS,
        engine::Admission::PerVariable => lane * ROWS..(lane + 1) * ROWS,
    }
}
