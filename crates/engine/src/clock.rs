//! What time does: leases end, and waits for an overdue step; and when neither runs.
//!
//! Reads no clock. Invariant: no time runs against replicas that wait for the chief alone.

use std::time::Duration;

use crate::ReplicaId;
use crate::effect::Effect;
use crate::machine::{AtHooks, Engine};

impl Engine {
    /// The chief calls hooks from now on, perhaps on a replica's own thread. The step's deadline
    /// does not run meanwhile, nor does that replica's lease: neither can do anything about it. An
    /// earlier call's hooks are over.
    pub fn hooks_begin(&mut self, replica: Option<ReplicaId>, now: Duration) {
        self.hooks_end(now);
        self.hooks = Some(AtHooks { replica, since: now });
        self.overdue = false;
    }

    /// The hooks are done. Deadline and lease begin anew.
    pub fn hooks_end(&mut self, now: Duration) {
        let Some(hooks) = self.hooks.take() else { return };
        self.step_began = now;
        if let Some(replica) = hooks.replica {
            self.lend(replica, now);
        }
    }

    /// Time has passed: ends leases and, if replicas hold up the step beyond its deadline, the
    /// waits for it: the present ones, and from then on that of each replica that gives a batch up,
    /// which brings no step nearer. Returns when to call again, at the latest.
    pub fn tick(&mut self, now: Duration, effects: &mut Vec<Effect>) -> Option<Duration> {
        if self.stopped.is_some() {
            return None;
        }
        self.expire_tokens(now, effects);
        let expiry = self.next_expiry(now);
        let settings = self.config.settings();
        // Tokens go out at any time; the automatic limit is no shorter than a lease.
        let shortest = settings.lease.into_iter().chain(settings.step_timeout.given()).min();
        let mut next = shortest.map(|shortest| now.saturating_add(shortest));
        next = self.absence_ends().into_iter().chain(expiry).chain(next).min();
        if let Some(deadline) = settings.step_deadline {
            // An update and hooks are the chief's: no replica is missing.
            if self.hooks.is_some() || self.is_updating() {
                return next.into_iter().chain([now.saturating_add(deadline)]).min();
            }
            if self.step_began.saturating_add(deadline) <= now {
                (self.step_began, self.overdue) = (now, true);
                self.fail_waits(effects);
            }
            next = next.into_iter().chain([self.step_began.saturating_add(deadline)]).min();
        }
        next
    }
}
