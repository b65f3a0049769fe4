//! The replicas: which live, which hold which token until when, and the outcomes of their work.
//!
//! A member is looked up by its number in constant time, however many there are.

use std::time::Duration;

use accum_core::LocalStep;
use token_queue::Token;

use crate::effect::{JoinError, Outcome};
use crate::shares::Claim;
use crate::{Incarnation, ReplicaId};

/// All replicas that ever joined, by number.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    slots: Vec<Member>,
}

/// One replica.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) incarnation: Incarnation,
    /// Whether its starting token was issued in this generation: it has joined, or stayed away so
    /// long that another one got the token.
    pub(crate) begun: bool,
    pub(crate) live: bool,
    pub(crate) waiting: bool,
    /// Computes a batch that it has not pushed or given up, with or without its lease.
    pub(crate) working: bool,
    /// When it got that batch.
    pub(crate) began: Duration,
    pub(crate) local_step: LocalStep,
    pub(crate) held: Option<Held>,
    /// Its number among all leases, if there is a step timeout.
    pub(crate) lease: u64,
    /// Whether it is in the list of leases.
    pub(crate) in_leases: bool,
    /// The share that it works on, kept beyond a lease (replica order only).
    pub(crate) claim: Option<Claim>,
    /// The last contribution and its fate, for repetitions.
    // P-15
    pub(crate) last: Option<(u64, Outcome)>,
    /// The batch that it computes (arrival order only).
    pub(crate) batch: Option<u64>,
    /// Its batches in the open step, by that step (arrival order only).
    pub(crate) in_step: (i64, Vec<u64>),
    /// Batches in a row whose gradients were not finite.
    // P-25
    pub(crate) not_finite_in_row: u64,
    pub(crate) tally: Tally,
}

impl Member {
    /// Its batch is in the open step, which is not applied yet.
    pub(crate) fn contribute(&mut self, step: i64) {
        let Some(batch) = self.batch.take() else { return };
        if self.in_step.0 != step {
            self.in_step.1.clear();
        }
        self.in_step.0 = step;
        self.in_step.1.push(batch);
    }

    /// Its batches that are in no update, of which the newest made the saved step.
    pub(crate) fn open_batches(&self, saved: i64) -> impl Iterator<Item = u64> {
        let in_step = if self.in_step.0 >= saved { &self.in_step.1[..] } else { &[] };
        in_step.iter().copied().chain(self.batch.filter(|_| self.live))
    }
}

/// A token in a replica's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) token: Token,
    /// When the lease ends; `None`: never.
    pub(crate) until: Option<Duration>,
}

impl Held {
    /// Whether an earlier token, whose lease ended before a late push, already covered work of this
    /// step: this token is still unused.
    pub(crate) fn is_newer(self, local_step: LocalStep) -> bool {
        self.token.step() > local_step.get()
    }
}

/// One replica's counters, over all its lives.
// P-7
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Gradients that became part of a step.
    pub accepted: u64,
    /// Gradients dropped because their step was over.
    pub stale: u64,
    /// Gradients dropped because another replica was first with the share.
    pub duplicates: u64,
    /// Batches given up before the push, because they were superseded.
    pub superseded: u64,
    /// Batches left out since their gradients were infinite or NaN.
    // P-25
    pub non_finite: u64,
    /// Batches left out when it was the last of several to fail at them.
    // P-5
    pub failed_batches: u64,
    /// Tokens taken from the queue.
    pub tokens: u64,
    /// Tokens that went to another, since its lease or its time for a step ran out.
    pub expired: u64,
}

impl Tally {
    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            accepted: self.accepted.saturating_add(other.accepted),
            stale: self.stale.saturating_add(other.stale),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            superseded: self.superseded.saturating_add(other.superseded),
            non_finite: self.non_finite.saturating_add(other.non_finite),
            failed_batches: self.failed_batches.saturating_add(other.failed_batches),
            tokens: self.tokens.saturating_add(other.tokens),
            expired: self.expired.saturating_add(other.expired),
        }
    }

    /// Batches that were begun and ended.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.pushed().saturating_add(self.superseded).saturating_add(self.non_finite)
    }

    /// Gradients pushed, accepted or not.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.accepted.saturating_add(self.stale).saturating_add(self.duplicates)
    }

    /// The counts since these counters were read.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            accepted: self.accepted.saturating_sub(before.accepted),
            stale: self.stale.saturating_sub(before.stale),
            duplicates: self.duplicates.saturating_sub(before.duplicates),
            superseded: self.superseded.saturating_sub(before.superseded),
            non_finite: self.non_finite.saturating_sub(before.non_finite),
            failed_batches: self.failed_batches.saturating_sub(before.failed_batches),
            tokens: self.tokens.saturating_sub(before.tokens),
            expired: self.expired.saturating_sub(before.expired),
        }
    }
}

impl Members {
    pub(crate) fn new(total: usize) -> Self {
        Self { slots: vec![Member::default(); total] }
    }

    pub(crate) fn get(&self, replica: ReplicaId) -> Option<&Member> {
        self.slots.get(usize::try_from(replica.get()).ok()?)
    }

    pub(crate) fn get_mut(&mut self, replica: ReplicaId) -> Option<&mut Member> {
        self.slots.get_mut(usize::try_from(replica.get()).ok()?)
    }

    /// The member, if it lives in this incarnation.
    pub(crate) fn live_mut(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
    ) -> Option<&mut Member> {
        self.get_mut(replica).filter(|member| member.live && member.incarnation == incarnation)
    }

    /// The members at the start of a new generation: all have left, and a replica that comes back
    /// is another incarnation than any before, so that old handles stay fenced off.
    // P-9
    pub(crate) fn next_generation(&self) -> Self {
        let slots = self
            .slots
            .iter()
            .map(|old| Member { incarnation: old.incarnation, ..Member::default() });
        Self { slots: slots.collect() }
    }

    /// A new life for a replica; says whether it is its first in this generation.
    pub(crate) fn join(&mut self, replica: ReplicaId) -> Result<(&mut Member, bool), JoinError> {
        let total = self.slots.len();
        let Some(member) = self.get_mut(replica) else {
            return Err(JoinError::Unknown { replica, total });
        };
        if member.live {
            return Err(JoinError::Present { replica });
        }
        let first = !std::mem::replace(&mut member.begun, true);
        member.incarnation = member.incarnation.next();
        member.live = true;
        member.waiting = false;
        member.last = None;
        Ok((member, first))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ReplicaId, &Member)> {
        (0..).map(ReplicaId::new).zip(&self.slots)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ReplicaId, &mut Member)> {
        (0..).map(ReplicaId::new).zip(&mut self.slots)
    }

    pub(crate) fn held(&self) -> u64 {
        self.slots.iter().filter(|member| member.held.is_some()).count() as u64
    }
}
