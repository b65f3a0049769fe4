//! F-14: a token is held no longer than its lease, and no shorter (P-5).
//!
//! Source: Gray and Cheriton, "Leases: An Efficient Fault-Tolerant Mechanism for Distributed File
//! Cache Consistency", 1989: a holder keeps its right until the term ends or it gives it back.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Effect;
use engine::ReplicaId;

use super::{Fact, Invariant};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct Leases {
    lease: Option<Duration>,
    /// Nothing comes of this generation any more, so that nobody looks at the clock.
    given_up: bool,
    /// When each holder's lease ends.
    until: BTreeMap<ReplicaId, Duration>,
}

impl Leases {
    pub(super) fn new(mix: &Mix) -> Self {
        Self { lease: mix.config.settings().lease, given_up: false, until: BTreeMap::new() }
    }
}

impl Invariant for Leases {
    fn name(&self) -> &'static str {
        "F-14 a token returns when its lease ends, not before"
    }

    fn observe(&mut self, now: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            Fact::Serves { .. } => {
                self.given_up = false;
                self.until.clear();
            }
            Fact::GivenUp => self.given_up = true,
            _ if self.given_up => {}
            // After the end no token is worth anything.
            Fact::Effect(Effect::Ended) => self.until.clear(),
            Fact::Effect(Effect::Grant(grant)) => {
                if let Some(lease) = self.lease {
                    self.until.insert(grant.replica, now + lease);
                }
            }
            Fact::Renewed { replica } => {
                if let (Some(until), Some(lease)) = (self.until.get_mut(&replica), self.lease) {
                    *until = now + lease;
                }
            }
            Fact::Left { replica } | Fact::GaveUp { replica } => {
                self.until.remove(&replica);
            }
            Fact::Decided { push, decision: Ok(decision), .. } if !decision.repeated => {
                self.until.remove(&push.replica);
            }
            Fact::Effect(&Effect::LeaseExpired { replica }) => {
                let until = self.until.remove(&replica);
                if until.is_none_or(|until| now < until) {
                    return Err(format!("the lease of {replica} ended at {now:?}, not {until:?}"));
                }
            }
            Fact::Books { .. } => {
                if let Some((replica, until)) = self.until.iter().find(|(_, until)| **until < now) {
                    return Err(format!("{replica} still has its lease that ended {until:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
