//! Admission of a push: what is fresh counts, and what is stale is dropped.
//!
//! The staleness rule itself is the gate's; this file applies it lane by lane.

use accum_core::Applied;

use crate::effect::{Effect, Outcome, Push};
use crate::machine::Engine;

impl Engine {
    /// The staleness rule over the lanes of a push, and in replica order over its share.
    pub(crate) fn admit(&mut self, push: &Push, effects: &mut Vec<Effect>) -> Outcome {
        let claim = self.members.get_mut(push.replica).and_then(|member| member.claim.take());
        if let (Some(shares), Some(claim)) = (&mut self.shares, claim) {
            if self.lanes[0].is_fresh(push.local_step) {
                let Some(others) = shares.contribute(push.replica, claim) else {
                    return Outcome::Duplicate { share: claim.share };
                };
                effects.extend(others.into_iter().map(|replica| Effect::Superseded { replica }));
            } else {
                shares.release(push.replica, claim.share);
            }
        }
        if let ([lane], None) = (&mut self.lanes[..], &push.lanes) {
            return outcome(lane.admit(push.local_step));
        }
        let mut lanes: Vec<usize> = Vec::new();
        match &push.lanes {
            // P-15: one contribution counts once in a lane, however often it names it.
            Some(named) => named.iter().for_each(|lane| {
                if !lanes.contains(lane) {
                    lanes.push(*lane);
                }
            }),
            None => lanes.extend(0..self.lanes.len()),
        }
        let mut accepted = Vec::new();
        let mut last = None;
        for &lane in &lanes {
            let applied = self.lanes[lane].admit(push.local_step);
            if applied.is_accepted() {
                accepted.push(lane);
                last = Some(outcome(applied));
            } else {
                last.get_or_insert(outcome(applied));
            }
        }
        match last {
            Some(outcome) if accepted.len() == lanes.len() || accepted.is_empty() => outcome,
            _ => Outcome::Partly { accepted },
        }
    }
}

/// One lane's verdict.
fn outcome(applied: Applied) -> Outcome {
    match applied {
        Applied::Accepted { count } => Outcome::Accepted { count },
        Applied::Stale { local_step, global_step } => Outcome::Stale { local_step, global_step },
    }
}
