//! Batches that are left out, and what stands in for them (P-25).
//!
//! Invariant: a batch is left out once, however many replicas compute it, and no batch that was
//! given out or left out is given in its place (P-14).

use std::time::Duration;

use crate::effect::{Effect, Refused, StopReason};
use crate::machine::Engine;
use crate::members::Member;
use crate::{Incarnation, ReplicaId};

impl Engine {
    /// After this many left-out batches of one replica in a row, training has failed.
    pub const MOST_NOT_FINITE: u64 = 10;

    /// A replica's gradients are infinite or NaN, so they are not pushed: its batch is left out and
    /// counted, and its token goes back. In replica order the share's next batch stands in.
    ///
    /// The tenth in a row from one replica ends training as failed; a push ends the row.
    ///
    /// # Errors
    /// [`Refused`] when training has ended or it is no member.
    // P-25
    pub fn skip(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        self.running()?;
        let member = self.live(replica, incarnation)?;
        member.tally.non_finite += 1;
        member.not_finite_in_row += 1;
        let row = member.not_finite_in_row;
        self.leave_out(replica, effects);
        if row >= Self::MOST_NOT_FINITE {
            self.put_down(replica);
            self.stop(StopReason::Failed(too_many(replica, row)), effects);
            return Ok(());
        }
        self.decline(replica, incarnation, now, effects)
    }

    /// Whether training ended since one replica had too many batches left out in a row.
    #[must_use]
    pub fn ended_not_finite(&self) -> bool {
        let row = |member: &Member| member.not_finite_in_row;
        self.members.iter().any(|(_, member)| row(member) >= Self::MOST_NOT_FINITE)
    }

    /// A replica failed at the batch of its share, as others have before: the batch is left out and
    /// counted, and the share's next one stands in. Its token stays, until it leaves. Returns
    /// whether the batch was still needed.
    ///
    /// # Errors
    /// [`Refused`] when training has ended or it is no member.
    // P-5
    pub fn leave_batch_out(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        effects: &mut Vec<Effect>,
    ) -> Result<bool, Refused> {
        self.running()?;
        self.live(replica, incarnation)?;
        let left_out = self.leave_out(replica, effects);
        self.live(replica, incarnation)?.tally.failed_batches += u64::from(left_out);
        Ok(left_out)
    }

    /// Stops giving out the batch of the replica's share; returns whether it was still needed.
    fn leave_out(&mut self, replica: ReplicaId, effects: &mut Vec<Effect>) -> bool {
        let Some(member) = self.members.get_mut(replica) else { return false };
        let fresh = self.lanes[0].is_fresh(member.local_step);
        let claim = member.claim.take_if(|_| fresh);
        let (Some(shares), Some(claim)) = (&mut self.shares, claim) else { return false };
        let Some(others) = shares.skip(replica, claim) else { return false };
        effects.extend(others.into_iter().map(|replica| Effect::Superseded { replica }));
        true
    }
}

fn too_many(replica: ReplicaId, row: u64) -> String {
    format!(
        "{replica} had gradients that are not finite (NaN or infinite) in {row} batches in a row; \
         look at its data and loss, or try a lower learning rate or clipping"
    )
}
