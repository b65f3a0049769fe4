//! F-14: a token is held no longer than its lease and the step timeout, and no shorter (P-5, P-28).
//!
//! Source: Gray and Cheriton, "Leases: An Efficient Fault-Tolerant Mechanism for Distributed File
//! Cache Consistency", 1989: a holder keeps its right until the term ends or it gives it back.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{Effect, Expiry, ReplicaId, StepTimeout};

use super::{Fact, Invariant};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct Leases {
    lease: Option<Duration>,
    step_timeout: StepTimeout,
    /// This generation is over, so its clock is no longer read.
    given_up: bool,
    /// When each holder's lease ends.
    until: BTreeMap<ReplicaId, Option<Duration>>,
    /// When each holder got its token.
    began: BTreeMap<ReplicaId, Duration>,
}

impl Leases {
    pub(super) fn new(mix: &Mix) -> Self {
        let settings = mix.config.settings();
        Self {
            lease: settings.lease,
            step_timeout: settings.step_timeout,
            given_up: false,
            until: BTreeMap::new(),
            began: BTreeMap::new(),
        }
    }

    /// Takes a replica's token off the books; when its lease ends, and when the replica got it.
    fn back(&mut self, replica: ReplicaId) -> (Option<Duration>, Option<Duration>) {
        (self.until.remove(&replica).flatten(), self.began.remove(&replica))
    }

    /// Whether a token may go to another now, and for this reason.
    fn may_expire(&mut self, now: Duration, replica: ReplicaId, cause: Expiry) -> bool {
        let (until, began) = self.back(replica);
        match cause {
            Expiry::Silent => until.is_some_and(|until| until <= now),
            Expiry::TimedOut { limit } => {
                let is_lawful = match self.step_timeout {
                    StepTimeout::Never => false,
                    StepTimeout::After(given) => limit == given,
                    StepTimeout::Automatic => self.lease.is_some_and(|lease| limit >= lease),
                };
                is_lawful && began.is_some_and(|began| began + limit <= now)
            }
        }
    }
}

impl Invariant for Leases {
    fn name(&self) -> &'static str {
        "F-14 a token returns when its lease or its time ends, not before"
    }

    fn observe(&mut self, now: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            Fact::Serves { .. } => {
                self.given_up = false;
                self.until.clear();
                self.began.clear();
            }
            Fact::GivenUp => self.given_up = true,
            _ if self.given_up => {}
            // After the end no token is worth anything.
            Fact::Effect(Effect::Ended) => {
                self.until.clear();
                self.began.clear();
            }
            Fact::Effect(Effect::Grant(grant)) => {
                self.until.insert(grant.replica, self.lease.map(|lease| now + lease));
                self.began.insert(grant.replica, now);
            }
            Fact::Renewed { replica } => {
                if let Some(until) = self.until.get_mut(&replica) {
                    *until = self.lease.map(|lease| now + lease);
                }
            }
            Fact::Left { replica } | Fact::GaveUp { replica } => {
                self.back(replica);
            }
            Fact::Decided { push, decision: Ok(decision), .. } if !decision.repeated => {
                self.back(push.replica);
            }
            Fact::Effect(&Effect::TokenExpired { replica, cause }) => {
                let (until, began) = (self.until.get(&replica), self.began.get(&replica));
                let told = format!("{replica} lost the token of {began:?}, lent until {until:?}");
                if !self.may_expire(now, replica, cause) {
                    return Err(format!("{told}, at {now:?}, since {cause}"));
                }
            }
            Fact::Books { .. } => {
                let is_over = |until: &Option<Duration>| until.is_some_and(|until| until < now);
                if let Some((replica, until)) = self.until.iter().find(|(_, it)| is_over(it)) {
                    return Err(format!("{replica} still has its lease that ended {until:?}"));
                }
                if let StepTimeout::After(limit) = self.step_timeout
                    && let Some((replica, began)) =
                        self.began.iter().find(|(_, began)| **began + limit < now)
                {
                    return Err(format!("{replica} has had its token since {began:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
