//! F-1: a gradient contributes exactly if it is fresh (R-2, S-1).
//!
//! Source: Chen et al., "Revisiting Distributed Synchronous SGD", 2016: the gradients of the slow
//! are dropped; and TensorFlow's rule, local step >= the accumulator's step.

use std::time::Duration;

use engine::Outcome;

use super::lanes::Lanes;
use super::{Fact, Invariant};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct Staleness {
    lanes: Lanes,
}

impl Staleness {
    pub(super) fn new(mix: &Mix) -> Self {
        Self { lanes: Lanes::new(mix) }
    }
}

impl Invariant for Staleness {
    fn name(&self) -> &'static str {
        "F-1 a gradient contributes exactly if it is fresh"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        self.lanes.observe(fact);
        match *fact {
            Fact::Decided { push, named, took, decision: Ok(decision), .. }
                if !decision.repeated =>
            {
                let local = push.local_step.get();
                let fresh = named.iter().copied().filter(|&lane| self.lanes.is_fresh(lane, local));
                let fresh: Vec<usize> = fresh.collect();
                let fits = match &decision.outcome {
                    Outcome::Accepted { .. } => fresh == named,
                    Outcome::Stale { .. } => fresh.is_empty(),
                    Outcome::Partly { .. } => took == fresh && !fresh.is_empty() && fresh != named,
                    Outcome::Duplicate { .. } => !fresh.is_empty(),
                    _ => false,
                };
                if !fits {
                    return Err(format!(
                        "{push:?} is fresh for lanes {fresh:?} of {:?}, but became {:?}",
                        self.lanes, decision.outcome
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
