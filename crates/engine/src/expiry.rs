//! How long a replica may keep a token: its lease, which signs of life renew, and the step timeout,
//! which nothing renews (P-5, P-28).
//!
//! Reads no clock. Invariant: a replica that holds a token has an entry in `leases` that is due no
//! later than its lease, and one in `by_age`, except while hooks run on its thread.

use std::cmp::Reverse;
use std::time::Duration;

use crate::config::StepTimeout;
use crate::effect::{Effect, Expiry, Refused};
use crate::leases::LATEST;
use crate::machine::Engine;
use crate::members::Held;
use crate::{Incarnation, ReplicaId};

/// The automatic limit, as a multiple of the median.
const MEDIANS: u32 = 10;

impl Engine {
    /// How long a replica may work with one token at present; `None` for no limit.
    // P-28
    #[must_use]
    pub fn step_timeout(&self) -> Option<Duration> {
        let settings = self.config.settings();
        match settings.step_timeout {
            StepTimeout::Never => None,
            StepTimeout::After(limit) => Some(limit),
            StepTimeout::Automatic => {
                let lease = settings.lease?;
                Some(self.leases.median()?.saturating_mul(MEDIANS).max(lease))
            }
        }
    }

    /// The token in a replica's hands is leased from now on.
    pub(crate) fn lend(&mut self, replica: ReplicaId, now: Duration) {
        let until = self.lease_from(now);
        let Some(member) = self.members.get_mut(replica) else { return };
        let Some(held) = &mut member.held else { return };
        (held.until, member.began) = (until, now);
        if let Some(until) = until.filter(|_| !std::mem::replace(&mut member.in_leases, true)) {
            self.leases.ends.push(Reverse((until, replica)));
        }
        let settings = self.config.settings();
        let is_limited = match settings.step_timeout {
            StepTimeout::Never => false,
            StepTimeout::Automatic => settings.lease.is_some(),
            StepTimeout::After(_) => true,
        };
        if !is_limited {
            return;
        }
        self.leases.lent += 1;
        member.lease = self.leases.lent;
        self.leases.by_age.push_back((member.lease, replica));
        // However long the oldest is out: no more than two entries a replica.
        if self.leases.by_age.len() > 2 * self.config.total_num_replicas() + LATEST {
            let members = &self.members;
            self.leases.by_age.retain(|&(lease, replica)| {
                members.get(replica).is_some_and(|it| it.held.is_some() && it.lease == lease)
            });
        }
    }

    pub(crate) fn lease_from(&self, now: Duration) -> Option<Duration> {
        self.config.settings().lease.map(|lease| now.saturating_add(lease))
    }

    /// A sign of life: the replica's lease begins anew.
    ///
    /// # Errors
    /// [`Refused::NotJoined`].
    pub fn renew(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        now: Duration,
    ) -> Result<(), Refused> {
        let until = self.lease_from(now);
        if let Some(held) = &mut self.live(replica, incarnation)?.held {
            held.until = until;
        }
        Ok(())
    }

    /// All live replicas are known to live, like the threads of one process: their leases begin
    /// anew.
    pub fn renew_all(&mut self, now: Duration) {
        let until = self.lease_from(now);
        for (_, member) in self.members.iter_mut() {
            if let Some(held) = &mut member.held {
                held.until = until;
            }
        }
    }

    /// Takes back tokens that were out for too long, and gives them to waiting replicas.
    pub(crate) fn expire_tokens(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.replace_absent(now);
        let mut late = self.timed_out(now);
        late.extend(self.silent(now).into_iter().map(|replica| (replica, Expiry::Silent)));
        // By replica, so that it does not matter how the two came about; silence says more.
        late.sort_by_key(|&(replica, expiry)| (replica, expiry != Expiry::Silent));
        late.dedup_by_key(|&mut (replica, _)| replica);
        for (replica, cause) in late {
            if let Some(member) = self.members.get_mut(replica) {
                member.tally.expired += 1;
                let claim = member.claim;
                // It may still be first with its share, although others may hold the share too.
                if let (Some(shares), Some(claim)) = (&mut self.shares, claim) {
                    shares.release(replica, claim.share);
                }
            }
            effects.push(Effect::TokenExpired { replica, cause });
            self.return_token(replica);
        }
        self.serve_line(now, effects);
    }

    /// When the next token may come back, unless its replica gives a sign of life.
    pub(crate) fn next_expiry(&mut self, now: Duration) -> Option<Duration> {
        // Tokens have come back since: the entry on top must be true.
        let silent = self.silent(now);
        debug_assert!(silent.is_empty(), "{silent:?} were seen to have no token any more");
        let lease = self.leases.ends.peek().map(|&Reverse((due, _))| due);
        let oldest = self.leases.by_age.iter().find_map(|&entry| self.began(entry));
        let limit = oldest.zip(self.step_timeout());
        let limit = limit.map(|(began, limit)| began.saturating_add(limit));
        lease.into_iter().chain(limit).min()
    }

    /// The replicas whose leases have ended. The entry on top is true afterwards.
    fn silent(&mut self, now: Duration) -> Vec<ReplicaId> {
        let mut silent = Vec::new();
        loop {
            let Some(&Reverse((due, replica))) = self.leases.ends.peek() else { return silent };
            let until = self.held_by(replica).and_then(|held| held.until);
            if until == Some(due) && due > now {
                return silent;
            }
            self.leases.ends.pop();
            match until {
                Some(until) if until > now => self.leases.ends.push(Reverse((until, replica))),
                _ => {
                    silent.extend(until.map(|_| replica));
                    if let Some(member) = self.members.get_mut(replica) {
                        member.in_leases = false;
                    }
                }
            }
        }
    }

    /// The replicas that have worked for too long.
    fn timed_out(&mut self, now: Duration) -> Vec<(ReplicaId, Expiry)> {
        let (limit, mut late) = (self.step_timeout(), Vec::new());
        while let Some(&entry) = self.leases.by_age.front() {
            let (began, (_, replica)) = (self.began(entry), entry);
            match (began, limit) {
                (None, _) => {}
                (Some(began), Some(limit)) if began.saturating_add(limit) <= now => {
                    late.push((replica, Expiry::TimedOut { limit }));
                }
                _ => return late,
            }
            self.leases.by_age.pop_front();
        }
        late
    }

    /// When a lease that is still out began.
    fn began(&self, (lease, replica): (u64, ReplicaId)) -> Option<Duration> {
        let member = self.members.get(replica).filter(|member| member.lease == lease);
        member.zip(self.held_by(replica)).map(|(member, _)| member.began)
    }

    /// The token that a replica holds; also `None` while the chief calls hooks on its thread, which
    /// keep it from going on.
    fn held_by(&self, replica: ReplicaId) -> Option<Held> {
        let at_hooks = self.hooks.is_some_and(|hooks| hooks.replica == Some(replica));
        self.members.get(replica)?.held.filter(|_| !at_hooks)
    }

    /// When replicas that have not joined count as dead; `None` if all have begun.
    pub(crate) fn absence_ends(&self) -> Option<Duration> {
        let absent = self.chief_started && self.members.iter().any(|(_, member)| !member.begun);
        self.config
            .settings()
            .lease
            .filter(|_| absent)
            .map(|lease| self.started.saturating_add(lease))
    }

    /// P-5: a replica that never comes does not hold up the first step: its starting token goes to
    /// the others. Later steps have tokens enough without it.
    fn replace_absent(&mut self, now: Duration) {
        if self.absence_ends().is_none_or(|end| now < end) {
            return;
        }
        let mut absent = 0;
        for (_, member) in self.members.iter_mut().filter(|(_, member)| !member.begun) {
            member.begun = true;
            absent += 1;
        }
        if self.advances == 0 {
            self.put_tokens(absent);
        }
    }
}
