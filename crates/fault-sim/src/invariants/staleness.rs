//! F-1: a gradient contributes exactly if it is fresh (R-2, S-1).
//!
//! Source: Chen et al., "Revisiting Distributed Synchronous SGD", 2016: the gradients of the slow
//! are dropped; and TensorFlow's rule, local step >= the accumulator's step.

use std::time::Duration;

use engine::{Effect, Outcome};

use super::{Fact, Invariant, lanes};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct Staleness {
    /// The step that gradients must have, by lane: one more at each take.
    required: Vec<i64>,
}

impl Staleness {
    pub(super) fn new(mix: &Mix) -> Self {
        Self { required: vec![0; lanes(mix)] }
    }
}

impl Invariant for Staleness {
    fn name(&self) -> &'static str {
        "F-1 a gradient contributes exactly if it is fresh"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            Fact::Serves { global_step, .. } => self.required.fill(global_step.get()),
            Fact::Effect(&Effect::Close { lane, .. }) => self.required[lane] += 1,
            Fact::Decided { push, decision: Ok(decision), .. } if !decision.repeated => {
                let local = push.local_step.get();
                let all: Vec<usize> = (0..self.required.len()).collect();
                let named = push.lanes.as_ref().unwrap_or(&all);
                let fresh: Vec<usize> =
                    named.iter().copied().filter(|&lane| local >= self.required[lane]).collect();
                let fits = match &decision.outcome {
                    Outcome::Accepted { .. } => fresh == *named,
                    Outcome::Stale { .. } => fresh.is_empty(),
                    Outcome::Partly { accepted } => {
                        *accepted == fresh && !fresh.is_empty() && fresh != *named
                    }
                    Outcome::Duplicate { .. } => !fresh.is_empty(),
                    _ => false,
                };
                if !fits {
                    return Err(format!(
                        "{push:?} is fresh for lanes {fresh:?} as they require steps {:?}, but \
                         became {:?}",
                        self.required, decision.outcome
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
