//! Where a step closes: its lanes, each once it holds enough, and the step, once all of them are
//! updated.
//!
//! What counts as enough is the gate's to see. Invariant: the step moves before its tokens go out,
//! and these before the new step closes.

use std::time::Duration;

use token_queue::Token;

use crate::config::TokenPolicy;
use crate::effect::{Effect, StopReason};
use crate::machine::Engine;

impl Engine {
    /// Closes every lane that holds enough, once the chief is there.
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
