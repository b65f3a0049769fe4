//! F-13: a replica told that its work is superseded cannot contribute with it (P-13).
//!
//! Source: the point of telling is to save work, never to lose any: a gradient given up wrongly
//! could have been the one that its step waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{Effect, Generation, Grant, Outcome, ReplicaId};

use super::lanes::Lanes;
use super::{Fact, Invariant};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct ToldRightly {
    generation: Generation,
    lanes: Lanes,
    /// The last grant of each replica.
    grants: BTreeMap<ReplicaId, Grant>,
    /// The shares that are in, with their step.
    shares: BTreeSet<(i64, u64)>,
}

impl ToldRightly {
    pub(super) fn new(mix: &Mix) -> Self {
        let (grants, shares) = Default::default();
        Self { generation: Generation::default(), lanes: Lanes::new(mix), grants, shares }
    }

    fn is_in_vain(&self, grant: &Grant) -> bool {
        let local = grant.local_step.get();
        self.lanes.is_over(local)
            || grant.share.is_some_and(|share| self.shares.contains(&(local, share)))
    }
}

impl Invariant for ToldRightly {
    fn name(&self) -> &'static str {
        "F-13 nobody is told wrongly that it is superseded"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        self.lanes.observe(fact);
        match *fact {
            Fact::Serves { generation, .. } => {
                self.generation = generation;
                self.grants.clear();
                self.shares.clear();
            }
            Fact::Effect(Effect::Grant(grant)) => {
                self.grants.insert(grant.replica, grant.clone());
            }
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
                return Err(format!("{grant:?} is given up, and {:?} are required", self.lanes));
            }
            _ => {}
        }
        Ok(())
    }
}
