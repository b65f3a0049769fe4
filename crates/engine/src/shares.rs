//! Replica order: a step's A shares, who works on each, which are in.
//!
//! Decides only who computes what, never the result: a share's gradient is the same whoever
//! computes it (P-14), so a dead or slow replica's share can be given to another.

use crate::ReplicaId;

/// The shares of the current step.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    shares: Vec<Share>,
    /// Shares that each replica was first with, over the whole run: the slow have few.
    firsts: Vec<u64>,
}

#[derive(Clone, Debug, Default)]
struct Share {
    contributed: bool,
    workers: Vec<ReplicaId>,
}

impl Shares {
    pub(crate) fn new(aggregate: usize, total: usize) -> Self {
        Self { shares: vec![Share::default(); aggregate], firsts: vec![0; total] }
    }

    /// A share for a replica that has just got a token: its own, else one nobody works on, else,
    /// as a backup, one whose workers are the slowest so far.
    pub(crate) fn assign(&mut self, replica: ReplicaId) -> Option<u64> {
        let own = usize::try_from(replica.get()).ok().filter(|&share| self.is_free(share));
        let share = own
            .or_else(|| (0..self.shares.len()).find(|&share| self.is_free(share)))
            .or_else(|| self.slowest())?;
        self.shares[share].workers.push(replica);
        Some(share as u64)
    }

    /// Records a gradient for a share: `None` when another was first, else the other replicas
    /// that work on it in vain from now on.
    pub(crate) fn contribute(&mut self, replica: ReplicaId, share: u64) -> Option<Vec<ReplicaId>> {
        self.release(replica, share);
        let share = self.shares.get_mut(usize::try_from(share).ok()?)?;
        if share.contributed {
            return None;
        }
        share.contributed = true;
        if let Some(firsts) =
            usize::try_from(replica.get()).ok().and_then(|r| self.firsts.get_mut(r))
        {
            *firsts += 1;
        }
        Some(share.workers.clone())
    }

    /// Whether a gradient for every share is in.
    pub(crate) fn are_in(&self) -> bool {
        self.shares.iter().all(|share| share.contributed)
    }

    /// Whether a gradient for the share is in.
    pub(crate) fn is_in(&self, share: u64) -> bool {
        let share = usize::try_from(share).ok().and_then(|share| self.shares.get(share));
        share.is_some_and(|share| share.contributed)
    }

    /// The replica no longer works on the share.
    pub(crate) fn release(&mut self, replica: ReplicaId, share: u64) {
        if let Some(share) = usize::try_from(share).ok().and_then(|s| self.shares.get_mut(s)) {
            share.workers.retain(|&worker| worker != replica);
        }
    }

    /// A new step: nothing is in, nobody works.
    pub(crate) fn reset(&mut self) {
        for share in &mut self.shares {
            share.contributed = false;
            share.workers.clear();
        }
    }

    fn is_free(&self, share: usize) -> bool {
        self.shares.get(share).is_some_and(|share| !share.contributed && share.workers.is_empty())
    }

    /// Of the shares that are not in, the one with the fewest workers; among equals the one whose
    /// workers were first least often.
    fn slowest(&self) -> Option<usize> {
        let firsts = |replica: &ReplicaId| {
            usize::try_from(replica.get()).ok().and_then(|r| self.firsts.get(r)).copied()
        };
        (0..self.shares.len()).filter(|&share| !self.shares[share].contributed).min_by_key(
            |&share| {
                let workers = &self.shares[share].workers;
                (workers.len(), workers.iter().filter_map(firsts).max().unwrap_or(0))
            },
        )
    }
}
