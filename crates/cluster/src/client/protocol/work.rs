//! A piece of work: begun, abandoned, or left out.
//!
//! Invariant: abandoned work is not begun again, whatever of its token is still on its way.

use std::time::Duration;

use sync_replicas::engine::Grant;

use super::{Action, PushError, ReplicaProtocol, Request, Work};
use crate::coordinator::{GivenUp, Ticket, Times};

impl ReplicaProtocol {
    /// Gives the present piece of work up.
    pub fn give_up(&mut self, work: Work, now: Duration, actions: &mut Vec<Action>) {
        if self.has_begun() {
            self.put_down(GivenUp::Begun, Some(work.times(now)), actions);
        }
    }

    /// Leaves out a grant's batch, whose gradients are infinite or NaN (P-25).
    ///
    /// # Errors
    /// [`PushError::Lost`].
    pub fn skip(
        &mut self,
        grant: &Grant,
        work: Work,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Result<(), PushError> {
        self.ticket_of(grant)?;
        self.put_down(GivenUp::NotFinite, Some(work.times(now)), actions);
        Ok(())
    }

    pub(super) fn put_down(&self, why: GivenUp, times: Option<Times>, actions: &mut Vec<Action>) {
        if let Some(ticket) = self.ticket {
            let give_up = Request::GiveUp { ticket, sequence: self.sequence, why, times };
            self.send(0, vec![give_up], actions);
        }
    }

    /// The ticket, if the grant is of its life and of the present piece of work.
    pub(super) fn ticket_of(&self, grant: &Grant) -> Result<Ticket, PushError> {
        let same = self.ticket.filter(|it| it.incarnation == grant.incarnation);
        let same = same.filter(|_| self.has_begun());
        let reason = || "the replica has joined anew meanwhile".to_owned();
        same.ok_or_else(|| PushError::Lost { reason: reason() })
    }

    /// Whether the replica has begun the present piece of work.
    pub(super) fn has_begun(&self) -> bool {
        self.begun == Some(self.sequence)
    }
}
