//! Admission of a push, closing of lanes, and the advance of the step.
//!
//! The staleness rule itself is the gate's; this file applies it lane by lane.

use std::time::Duration;

use accum_core::Applied;
use token_queue::Token;

use crate::config::TokenPolicy;
use crate::effect::{Effect, Outcome, Push, StopReason};
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

    pub(crate) fn close_lanes(&mut self, effects: &mut Vec<Effect>) {
        if !self.chief_started || self.stopped.is_some() {
            return;
        }
        let needed = self.config.gradients_needed();
        for lane in 0..self.lanes.len() {
            match self.lanes[lane].try_close(needed) {
                Ok(Some(count)) => effects.push(Effect::Close { lane, count }),
                Ok(None) => {}
                Err(overflow) => {
                    return self.stop(StopReason::Failed(overflow.to_string()), effects);
                }
            }
        }
    }

    /// R-21, P-12: the step, then the tokens of the new step, then the waiting replicas.
    pub(crate) fn advance(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(next) = self.global_step.next() else {
            let reason = "the global step cannot exceed the largest 64-bit number".to_owned();
            return self.stop(StopReason::Failed(reason), effects);
        };
        self.global_step = next;
        self.advances += 1;
        (self.step_began, self.overdue) = (now, false);
        effects.push(Effect::Advanced { global_step: next });
        if let Some(shares) = &mut self.shares {
            shares.reset();
        }
        let count = self.config.tokens_per_step();
        match self.config.settings().token_policy {
            TokenPolicy::KeepLeftovers => self.put_tokens(count),
            TokenPolicy::DiscardLeftovers => {
                let discarded = self.tokens.put_many_discarding(Token::new(next.get()), count);
                self.ledger.issued += count as u64;
                self.ledger.discarded += discarded as u64;
            }
        }
        for lane in &mut self.lanes {
            lane.reopen();
        }
        self.serve_line(now, effects);
        self.close_lanes(effects);
    }
}

/// One lane's verdict.
fn outcome(applied: Applied) -> Outcome {
    match applied {
        Applied::Accepted { count } => Outcome::Accepted { count },
        Applied::Stale { local_step, global_step } => Outcome::Stale { local_step, global_step },
    }
}
