//! Where tokens go: into the queue, to a waiting replica, or back in front when unused.
//!
//! Every path keeps the [`TokenLedger`](super::TokenLedger) true.

use std::time::Duration;

use accum_core::LocalStep;
use token_queue::Token;

use crate::config::TokenPolicy;
use crate::effect::{Effect, Grant, Overdue, Refused};
use crate::lane::Lane;
use crate::machine::Engine;
use crate::members::Held;
use crate::shares::{Claim, Shares};
use crate::{Incarnation, ReplicaId};

impl Engine {
    /// A replica gave its batch up before the push. If its step is over, the token is spent, as by
    /// a stale push; otherwise another replica needs it, and if the step is overdue by now, the
    /// replica is told so instead of getting another token: one that always gives up would never
    /// wait for it.
    ///
    /// # Errors
    /// [`Refused`] when training has ended or it is no member.
    // P-5
    pub fn give_up(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        self.running()?;
        self.live(replica, incarnation)?;
        if self.is_superseded(replica) {
            self.live(replica, incarnation)?.tally.superseded += 1;
        } else if self.overdue {
            // While it still counts as missing.
            self.tell_overdue(vec![replica], effects);
            self.put_down(replica);
            self.serve_line(now, effects);
            return Ok(());
        }
        self.decline(replica, incarnation, now, effects)
    }

    /// A replica sends its token back unused, since the step was already over, and waits for
    /// another one.
    ///
    /// # Errors
    /// [`Refused`] when training has ended or it is no member.
    pub fn decline(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        self.running()?;
        self.live(replica, incarnation)?;
        self.put_down(replica);
        self.enter_line(replica);
        self.serve_line(now, effects);
        Ok(())
    }

    /// The replica works on nothing, and has no token.
    pub(crate) fn put_down(&mut self, replica: ReplicaId) {
        if let Some(member) = self.members.get_mut(replica) {
            (member.working, member.batch) = (false, None);
        }
        self.drop_work(replica);
        self.return_token(replica);
    }

    pub(crate) fn put_tokens(&mut self, count: usize) {
        self.tokens.put_many(Token::new(self.global_step.get()), count);
        self.ledger.issued += count as u64;
    }

    pub(crate) fn enter_line(&mut self, replica: ReplicaId) {
        if let Some(member) = self.members.get_mut(replica)
            && member.held.is_none()
            && !std::mem::replace(&mut member.waiting, true)
        {
            self.line.push_back(replica);
        }
    }

    pub(crate) fn serve_line(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        while !self.line.is_empty() && self.stopped.is_none() && !self.awaits_chief() {
            let Some(token) = self.tokens.try_take() else { return };
            if !self.is_work(token) {
                self.ledger.discarded += 1;
                continue;
            }
            let Some(replica) = self.line.pop_front() else { return };
            if let Some(member) = self.members.get_mut(replica) {
                member.waiting = false;
                member.tally.tokens += 1;
            }
            self.hand_over(replica, token, now, effects);
        }
    }

    /// P-14: all shares of the step are in, and only the chief is missing, which has not started.
    /// A replica that got a token now would compute a batch beyond the shares.
    pub(crate) fn awaits_chief(&self) -> bool {
        !self.chief_started && self.shares.as_ref().is_some_and(Shares::are_in)
    }

    pub(crate) fn hand_over(
        &mut self,
        replica: ReplicaId,
        token: Token,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let step = token.step();
        let current = step == self.global_step.get();
        let claim = self.shares.as_mut().filter(|_| current).and_then(|s| s.assign(replica));
        let number = match claim {
            // The same batch for a share whichever replica computes it, also after a restore.
            Some(claim) => self.number(step, claim),
            None => self.batches.next(replica),
        };
        let share = claim.map(|claim| claim.share);
        let Some(member) = self.members.get_mut(replica) else { return };
        member.held = Some(Held { token, until: None });
        member.claim = claim;
        member.working = true;
        member.local_step = LocalStep::new(step);
        member.batch = share.is_none().then_some(number);
        self.lend(replica, now);
        let Some(member) = self.members.get(replica) else { return };
        effects.push(Effect::Grant(Grant {
            replica,
            incarnation: member.incarnation,
            local_step: member.local_step,
            share,
            number,
        }));
    }

    /// The number of a step's first batch, where shares have consecutive numbers.
    // P-14
    pub(crate) fn first_of_step(&self, step: i64) -> u64 {
        let (origin, first) = self.origin;
        let steps = step.saturating_sub(origin.get()).unsigned_abs();
        first.saturating_add(steps.saturating_mul(self.config.replicas_to_aggregate() as u64))
    }

    /// A share's batch in a step. Every share has its own stream, each A-th number, and advances in
    /// it by one a step and by one for each batch left out: no number comes twice.
    // P-14
    fn number(&self, step: i64, Claim { share, skipped }: Claim) -> u64 {
        let left_out = skipped.saturating_mul(self.config.replicas_to_aggregate() as u64);
        self.first_of_step(step).saturating_add(share).saturating_add(left_out)
    }

    /// The replica's share, if it works on one, is free again.
    pub(crate) fn drop_work(&mut self, replica: ReplicaId) {
        let claim = self.members.get_mut(replica).and_then(|member| member.claim.take());
        if let (Some(shares), Some(claim)) = (&mut self.shares, claim) {
            shares.release(replica, claim.share);
        }
    }

    /// Whether the work that a token permits can still count, or leftovers are handed out anyway.
    /// While an update is under way the lanes are already ahead of the global step.
    // P-12
    fn is_work(&self, token: Token) -> bool {
        self.config.settings().token_policy == TokenPolicy::KeepLeftovers
            || !self.judges_stale(LocalStep::new(token.step()))
    }

    /// P-5: a token that stays unused goes back in front. One whose step is over is spent, as by a
    /// stale push, even where leftovers are kept (P-13): in front of the queue it would be taken
    /// and come back again, for ever.
    pub(crate) fn return_token(&mut self, replica: ReplicaId) {
        let Some(held) = self.members.get_mut(replica).and_then(|member| member.held.take()) else {
            return;
        };
        if self.judges_stale(LocalStep::new(held.token.step())) {
            self.ledger.spent += 1;
        } else {
            self.tokens.put_back(held.token);
        }
    }

    pub(crate) fn fail_waits(&mut self, effects: &mut Vec<Effect>) {
        let waiting: Vec<ReplicaId> = self.line.drain(..).collect();
        if waiting.is_empty() {
            return;
        }
        for &replica in &waiting {
            if let Some(member) = self.members.get_mut(replica) {
                member.waiting = false;
            }
        }
        self.tell_overdue(waiting, effects);
    }

    /// Tells these replicas that the step is overdue, and who is missing.
    fn tell_overdue(&self, waiting: Vec<ReplicaId>, effects: &mut Vec<Effect>) {
        let missing = self.members.iter().filter(|(_, m)| m.live && m.working);
        effects.push(Effect::Overdue(Overdue {
            global_step: self.global_step,
            count: self.lanes.iter().map(Lane::count).min().unwrap_or(0),
            needed: self.config.replicas_to_aggregate() as u64,
            missing: missing.map(|(replica, _)| replica).collect(),
            waiting,
        }));
    }
}
