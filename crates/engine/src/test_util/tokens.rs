//! The reference model's tokens: one queue, one line, what each holds, what time does (S-4, L-3).
//!
//! Invariant: no replica waits while there is a token that is work.

use std::time::Duration;

use super::EngineModel;
use super::model::Want;
use crate::{Expiry, StepTimeout, SummationOrder, TokenPolicy};

impl EngineModel {
    /// Whether a push for this token can count, or leftovers are handed out anyway (P-12).
    fn is_work(&self, token: i64) -> bool {
        self.config.settings().token_policy == TokenPolicy::KeepLeftovers || !self.is_over(token)
    }

    pub(super) fn is_over(&self, step: i64) -> bool {
        self.lanes.iter().all(|lane| step < lane.step)
    }

    pub(super) fn lease_from_now(&self) -> Option<Duration> {
        self.config.settings().lease.map(|lease| self.now + lease)
    }

    pub(super) fn enter_line(&mut self, replica: u64) {
        let holds = self.members[replica as usize].held.is_some();
        if !holds && !self.line.contains(&replica) {
            self.line.push_back(replica);
        }
    }

    /// P-14: all shares are in, and a replica that got a token before the chief started would
    /// compute beyond them.
    pub(super) fn awaits_chief(&self) -> bool {
        let all_in = self.contributed.len() >= self.config.replicas_to_aggregate();
        self.started.is_none() && self.config.settings().order == SummationOrder::Replica && all_in
    }

    /// The first in line gets the first token that is work.
    pub(super) fn serve(&mut self) {
        while !self.line.is_empty() && !self.stopped && !self.awaits_chief() {
            let Some(token) = self.queue.pop_front() else { return };
            if self.is_work(token)
                && let Some(replica) = self.line.pop_front()
            {
                self.members[replica as usize].tally.tokens += 1;
                self.hand_over(replica, token);
            }
        }
    }

    pub(super) fn hand_over(&mut self, replica: u64, step: i64) {
        let until = self.lease_from_now();
        let member = &mut self.members[replica as usize];
        (member.held, member.local_step, member.working) = (Some((step, until)), step, true);
        member.began = self.now;
        self.effects.push(Want::Grant { replica, incarnation: member.lives, step });
    }

    /// A token that stays unused: back in front (P-5), or spent if its step is over (P-13).
    pub(super) fn return_token(&mut self, replica: u64) {
        let held = self.members[replica as usize].held.take();
        if let Some((token, _)) = held.filter(|&(token, _)| !self.is_over(token)) {
            self.queue.push_front(token);
        }
    }

    /// Work given up: in a step that is overdue, P-5, for no other token.
    pub(super) fn give_up(&mut self, replica: u64) {
        if self.is_superseded(replica) {
            self.members[replica as usize].tally.superseded += 1;
        } else if self.overdue {
            self.tell_overdue(vec![replica]);
            self.put_down(replica);
            return self.serve();
        }
        self.decline(replica);
    }

    pub(super) fn put_down(&mut self, replica: u64) {
        let member = &mut self.members[replica as usize];
        (member.working, member.share, member.batch) = (false, None, None);
        self.return_token(replica);
    }

    fn tell_overdue(&mut self, waiting: Vec<u64>) {
        let works = |&at: &usize| self.members[at].live && self.members[at].working;
        let missing = (0..self.members.len()).filter(works).map(|at| at as u64).collect();
        let (step, needed) = (self.step, self.config.replicas_to_aggregate() as u64);
        let count = self.lanes.iter().map(|lane| lane.held.len() as u64).min().unwrap_or(0);
        self.effects.push(Want::Overdue { step, count, needed, missing, waiting });
    }

    /// Work sent back.
    pub(super) fn decline(&mut self, replica: u64) {
        self.put_down(replica);
        self.enter_line(replica);
        self.serve();
    }

    pub(super) fn hooks_begin(&mut self, replica: Option<u64>) {
        self.hooks_end();
        (self.hooks, self.hooks_since, self.overdue) = (Some(replica), self.now, false);
    }

    pub(super) fn hooks_end(&mut self) {
        let Some(replica) = self.hooks.take() else { return };
        self.step_began = self.now;
        let until = self.lease_from_now();
        let member = replica.and_then(|replica| self.members.get_mut(replica as usize));
        if let Some(member) = member
            && let Some((_, ends)) = &mut member.held
        {
            (*ends, member.began) = (until, self.now);
        }
    }

    /// Leases end, then the waits for a step that takes too long (P-5).
    pub(super) fn tick(&mut self) {
        if self.stopped {
            return;
        }
        self.replace_absent();
        let timeout = self.step_timeout();
        for replica in 0..self.members.len() {
            // A replica that cannot go on for the hooks on its thread keeps its token.
            let at_hooks = self.hooks == Some(Some(replica as u64));
            let member = &mut self.members[replica];
            let Some((_, until)) = member.held.filter(|_| !at_hooks) else { continue };
            let silent = until.filter(|&until| until <= self.now).map(|_| Expiry::Silent);
            let late = timeout.filter(|&limit| member.began + limit <= self.now);
            if let Some(cause) = silent.or(late.map(|limit| Expiry::TimedOut { limit })) {
                member.tally.expired += 1;
                self.effects.push(Want::TokenExpired(replica as u64, cause));
                self.return_token(replica as u64);
            }
        }
        self.serve();
        // No replica is missing while the chief is at work.
        let chief = self.hooks.is_some() || self.is_updating();
        let deadline = self.config.settings().step_deadline.filter(|_| !chief);
        if deadline.is_some_and(|deadline| self.step_began + deadline <= self.now) {
            (self.step_began, self.overdue) = (self.now, true);
            let waiting: Vec<u64> = self.line.drain(..).collect();
            if !waiting.is_empty() {
                self.tell_overdue(waiting);
            }
        }
    }

    /// P-28: ten times the median of the latest 64, and at least the lease.
    pub(super) fn step_timeout(&self) -> Option<Duration> {
        let settings = self.config.settings();
        match settings.step_timeout {
            StepTimeout::Never => None,
            StepTimeout::After(limit) => Some(limit),
            StepTimeout::Automatic => {
                let mut latest = self.took[self.took.len().saturating_sub(64)..].to_vec();
                latest.sort_unstable();
                let median = latest.get(latest.len() / 2)?;
                settings.lease.map(|lease| lease.max(*median * 10))
            }
        }
    }

    /// A replica that did not come within a lease counts as dead: its starting token goes to
    /// others.
    fn replace_absent(&mut self) {
        let (Some(started), Some(lease)) = (self.started, self.config.settings().lease) else {
            return;
        };
        if self.now < started + lease {
            return;
        }
        for at in 0..self.members.len() {
            let begun = std::mem::replace(&mut self.members[at].begun, true);
            if !begun && self.advances == 0 {
                self.queue.push_back(self.step);
            }
        }
    }
}
