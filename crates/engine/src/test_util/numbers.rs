//! The reference model's batches: which number a grant must have, and which are left out (P-25).
//!
//! Invariant: a batch that is in an update or left out is never given again in its generation.

use super::EngineModel;
use super::model::Member;
use crate::{Engine, Grant, SummationOrder};

impl EngineModel {
    /// P-14: a share's batch follows from step and share, and from how many were left out. In
    /// arrival order a batch is of the replica's own stream, and every earlier holder left it
    /// behind; in replica order the result of a batch without a share is in no update, so any batch
    /// will do.
    pub(super) fn numbered(&mut self, grant: &Grant) {
        let Grant { replica, local_step, share, number, .. } = *grant;
        let expected = share.map(|share| self.number(local_step.get(), share));
        let member = &mut self.members[replica.get() as usize];
        (member.share, member.batch) = (share, share.is_none().then_some(number));
        if let Some(expected) = expected {
            member.number = number;
            assert_eq!(number, expected, "the batch of {share:?}");
            assert!(!self.used.contains(&number), "batch {number} is given again");
        } else if self.config.settings().order == SummationOrder::Arrival {
            let streams = self.members.len() as u64;
            assert_eq!(number % streams, replica.get(), "the stream of batch {number}");
            assert!(self.given.insert(number), "batch {number} is given twice");
        }
    }

    /// Its gradient for a share comes, claiming a step; whether it is of use. A replica that claims
    /// a step that its batch is not of can have it used there.
    pub(super) fn contribute(&mut self, replica: u64, share: u64, claims: i64) -> bool {
        let member = &self.members[replica as usize];
        let (number, wanted) = (member.number, !self.is_in_vain(member, share));
        let honest = claims == member.local_step;
        if wanted {
            self.contributed.insert(share);
            assert!(!honest || self.used.insert(number), "batch {number} is used twice");
        }
        wanted
    }

    /// Another gradient of the share is in, or the batch of this one is left out.
    pub(super) fn is_in_vain(&self, member: &Member, share: u64) -> bool {
        let wanted = self.number(member.local_step, share);
        self.contributed.contains(&share) || member.number != wanted
    }

    /// P-25: its batch is left out, unless that was done or its step is over.
    pub(super) fn skip(&mut self, replica: u64) {
        let member = &mut self.members[replica as usize];
        member.tally.non_finite += 1;
        member.row += 1;
        let (member, ended) = (&self.members[replica as usize], self.ten_in_row());
        let over = self.is_over(member.local_step);
        if let Some(share) = member.share.filter(|&share| !over && !self.is_in_vain(member, share))
        {
            assert!(self.used.insert(member.number), "batch {} is left out twice", member.number);
            *self.skipped.entry(share).or_default() += 1;
        }
        if ended {
            self.put_down(replica);
            self.stop();
        } else {
            self.decline(replica);
        }
    }

    pub(super) fn ten_in_row(&self) -> bool {
        self.members.iter().any(|member| member.row >= Engine::MOST_NOT_FINITE)
    }

    fn number(&self, step: i64, share: u64) -> u64 {
        let skipped = self.skipped.get(&share).copied().unwrap_or(0);
        let steps = (step - self.origin).unsigned_abs();
        (steps + skipped) * self.config.replicas_to_aggregate() as u64 + share
    }
}
