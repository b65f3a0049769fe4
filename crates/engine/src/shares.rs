//! Replica order: a step's A shares, who works on each, which are in, which batch each is at.
//!
//! Decides only who computes what, never the result: a share's gradient is the same whichever
//! replica computes it (P-14), so a dead or slow replica's share can be given to another.

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
    /// How many of its batches were left out, over the whole run.
    // P-25
    skipped: u64,
}

/// A replica's work: a share, by the batch that comes after those left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) share: u64,
    /// How many batches of the share were left out when it was given.
    pub(crate) skipped: u64,
}

impl Shares {
    pub(crate) fn new(aggregate: usize, total: usize) -> Self {
        Self { shares: vec![Share::default(); aggregate], firsts: vec![0; total] }
    }

    /// A share for a replica that has just got a token: its own, else one that no replica works on,
    /// else, as a backup, one whose workers are the slowest so far.
    pub(crate) fn assign(&mut self, replica: ReplicaId) -> Option<Claim> {
        let own = usize::try_from(replica.get()).ok().filter(|&share| self.is_free(share));
        let share = own
            .or_else(|| (0..self.shares.len()).find(|&share| self.is_free(share)))
            .or_else(|| self.slowest())?;
        let Share { workers, skipped, .. } = &mut self.shares[share];
        workers.push(replica);
        Some(Claim { share: share as u64, skipped: *skipped })
    }

    /// Records a gradient for a share: `None` when it is of no use, because another was first or
    /// its batch is left out; otherwise the other replicas whose work on it can no longer count.
    pub(crate) fn contribute(
        &mut self,
        replica: ReplicaId,
        claim: Claim,
    ) -> Option<Vec<ReplicaId>> {
        self.release(replica, claim.share);
        if self.is_over(claim) {
            return None;
        }
        let share = self.get_mut(claim.share)?;
        share.contributed = true;
        let workers = share.workers.clone();
        if let Some(firsts) =
            usize::try_from(replica.get()).ok().and_then(|r| self.firsts.get_mut(r))
        {
            *firsts += 1;
        }
        Some(workers)
    }

    /// Leaves a claim's batch out, so that the share's next one stands in: `None` when it is no
    /// longer needed; otherwise the other replicas whose work on it can no longer count.
    // P-25
    pub(crate) fn skip(&mut self, replica: ReplicaId, claim: Claim) -> Option<Vec<ReplicaId>> {
        self.release(replica, claim.share);
        if self.is_over(claim) {
            return None;
        }
        let share = self.get_mut(claim.share)?;
        share.skipped = share.skipped.saturating_add(1);
        Some(std::mem::take(&mut share.workers))
    }

    /// Whether a gradient for every share is in.
    pub(crate) fn are_in(&self) -> bool {
        self.shares.iter().all(|share| share.contributed)
    }

    /// Whether a gradient for the share is in, or the claim's batch is left out.
    pub(crate) fn is_over(&self, claim: Claim) -> bool {
        let share = usize::try_from(claim.share).ok().and_then(|share| self.shares.get(share));
        share.is_some_and(|share| share.contributed || share.skipped != claim.skipped)
    }

    /// The replica no longer works on the share.
    pub(crate) fn release(&mut self, replica: ReplicaId, share: u64) {
        if let Some(share) = self.get_mut(share) {
            share.workers.retain(|&worker| worker != replica);
        }
    }

    /// A new step: no share is in, no replica works.
    pub(crate) fn reset(&mut self) {
        for share in &mut self.shares {
            share.contributed = false;
            share.workers.clear();
        }
    }

    /// How many batches of each share were left out.
    pub(crate) fn skipped(&self) -> Vec<u64> {
        self.shares.iter().map(|share| share.skipped).collect()
    }

    /// Sets them; shares not named have none.
    pub(crate) fn set_skipped(&mut self, skipped: &[u64]) {
        let counts = skipped.iter().copied().chain(std::iter::repeat(0));
        for (share, skipped) in self.shares.iter_mut().zip(counts) {
            share.skipped = skipped;
        }
    }

    fn get_mut(&mut self, share: u64) -> Option<&mut Share> {
        self.shares.get_mut(usize::try_from(share).ok()?)
    }

    fn is_free(&self, share: usize) -> bool {
        self.shares.get(share).is_some_and(|share| !share.contributed && share.workers.is_empty())
    }

    /// Of the missing shares, the one with the fewest workers; among equals the one whose workers
    /// were first least often.
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
