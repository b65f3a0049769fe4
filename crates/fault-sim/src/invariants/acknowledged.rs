//! F-7: the answer that a replica got to its push is what became of the push (P-7).
//!
//! Source: the oracle of etcd's robustness tests and of openraft's simulation: an answer that was
//! lost leaves the outcome unknown, never absent, so only answers that arrived are compared.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Outcome;

use super::{Contributor, Fact, Invariant};

#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    decided: BTreeMap<Contributor, Outcome>,
}

impl Invariant for Acknowledged {
    fn name(&self) -> &'static str {
        "F-7 what a replica was told is what happened"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            Fact::Decided { push, decision: Ok(decision), .. } if !decision.repeated => {
                self.decided.insert(Contributor::of(push), decision.outcome.clone());
            }
            Fact::Acknowledged { by, outcome } => {
                let decided = self.decided.get(&by);
                if decided != Some(outcome) {
                    return Err(format!("{by:?} was told {outcome:?}, but was {decided:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
