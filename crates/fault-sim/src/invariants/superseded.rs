//! F-13: whoever is told that it computes in vain does so (P-13).
//!
//! Source: the point of telling is to save work, never to lose any: a gradient given up wrongly
//! could have been the one that its step waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{Effect, Grant, Outcome};
use engine::{Generation, ReplicaId};

use super::{Fact, Invariant, lanes};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct ToldRightly {
    generation: Generation,
    /// The step that gradients must have, by lane.
    required: Vec<i64>,
    /// The last grant of each replica.
    grants: BTreeMap<ReplicaId, Grant>,
    /// The shares that are in, with their step.
    shares: BTreeSet<(i64, u64)>,
}

impl ToldRightly {
    pub(super) fn new(mix: &Mix) -> Self {
        let required = vec![0; lanes(mix)];
        let (grants, shares) = Default::default();
        Self { generation: Generation::default(), required, grants, shares }
    }

    fn is_in_vain(&self, grant: &Grant) -> bool {
        let local = grant.local_step.get();
        self.required.iter().all(|&required| local < required)
            || grant.share.is_some_and(|share| self.shares.contains(&(local, share)))
    }
}

impl Invariant for ToldRightly {
    fn name(&self) -> &'static str {
        "F-13 nobody is told wrongly that it is superseded"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            Fact::Serves { generation, global_step, .. } => {
                self.generation = generation;
                self.required.fill(global_step.get());
                self.grants.clear();
                self.shares.clear();
            }
            Fact::Effect(Effect::Grant(grant)) => {
                self.grants.insert(grant.replica, grant.clone());
            }
            Fact::Effect(&Effect::Close { lane, .. }) => self.required[lane] += 1,
            Fact::Decided { push, decision: Ok(decision), .. } => {
                let share = self.grants.get(&push.replica).and_then(|grant| grant.share);
                if let (Outcome::Accepted { .. }, false, Some(share)) =
                    (&decision.outcome, decision.repeated, share)
                {
                    self.shares.insert((push.local_step.get(), share));
                }
            }
            Fact::Effect(Effect::Superseded { replica }) => {
                let grant = self.grants.get(replica);
                if !grant.is_some_and(|grant| self.is_in_vain(grant)) {
                    return Err(format!("{replica} is told so, and has {grant:?}"));
                }
            }
            Fact::Heeded { ticket, grant }
                if ticket.generation == self.generation && !self.is_in_vain(grant) =>
            {
                let required = &self.required;
                return Err(format!("{grant:?} is given up, and {required:?} are required"));
            }
            _ => {}
        }
        Ok(())
    }
}
