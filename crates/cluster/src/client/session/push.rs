//! A contribution on its way: sent to every server, sent again over lines that broke, committed
//! once all of them hold it.
//!
//! Invariant: what a server has said it holds it does hold until the coordinator decides, whatever
//! becomes of the line; all else is sent again.

use ndarray::ArrayD;
use sync_replicas::engine::{Grant, Outcome};
use sync_replicas::{Computed, Scalar};

use super::{PushError, Session, WorkTimes};
use crate::client::outgoing::{Dense, Outgoing};
use crate::coordinator::{GivenUp, Ticket};
use crate::proto;
use crate::proto::to_server::Message;

/// A contribution without an outcome yet.
pub(super) struct Pushing {
    outgoing: Outgoing,
    commit: proto::Commit,
    pub(super) work: WorkTimes,
    /// By server.
    parts: Vec<Part>,
    /// Whether the commit was sent over the coordinator's present line.
    committed: bool,
    pub(super) result: Option<Result<Outcome, PushError>>,
}

/// What is known of one server's part.
#[derive(Clone, Debug, Default)]
struct Part {
    /// The line that it was sent over last; zero for none.
    sent: u64,
    /// The server's receipt, once it holds it.
    receipt: Option<u64>,
}

impl Pushing {
    /// The commit as of now.
    fn commit(&self, receipts: u64) -> proto::Commit {
        let times = Some(self.work.times().into());
        proto::Commit { receipts, times, ..self.commit.clone() }
    }
}

impl Part {
    fn is_staged(&self) -> bool {
        self.receipt.is_some()
    }
}

impl<T: Scalar + bytemuck::Pod> Session<T> {
    /// Pushes the gradients of a grant's batch, and says what became of them. Those that are not
    /// finite are not sent, where that was chosen: their batch is left out (P-25).
    ///
    /// # Errors
    /// [`PushError`].
    pub async fn push(
        &mut self,
        grant: &Grant,
        computed: Computed<T>,
        work: WorkTimes,
    ) -> Result<Outcome, PushError> {
        crash_point!("worker/after-gradient");
        if self.settings.skips_not_finite && !computed.gradients.is_finite() {
            self.ticket_of(grant)?;
            let (replica, batch) = (self.settings.replica, grant.number);
            tracing::warn!(%replica, batch, "gradients are infinite or NaN; the batch is left out");
            self.put_down(GivenUp::NotFinite, work);
            return Ok(Outcome::NotFinite);
        }
        let dense = self.begin_push(grant, computed, work)?;
        let outcome = self.outcome().await;
        self.pushing = None;
        let sent = dense.into_iter();
        self.spent.extend(sent.filter_map(|(index, it)| Some((index, it.into_array()?))));
        outcome
    }

    /// Sends a contribution on its way; its dense gradients' memory is free again afterwards.
    pub(super) fn begin_push(
        &mut self,
        grant: &Grant,
        computed: Computed<T>,
        work: WorkTimes,
    ) -> Result<Dense<T>, PushError> {
        let variables = &self.mirror.variables;
        let wire = self.settings.wire;
        let sent = Outgoing::new(computed.gradients, variables, &self.placement, wire);
        let (outgoing, dense) = match sent {
            Ok(sent) => sent,
            Err(error) => {
                self.give_up(work);
                return Err(error.into());
            }
        };
        let ticket = self.ticket_of(grant)?;
        let commit = proto::Commit {
            ticket: Some(ticket.into()),
            sequence: self.sequence,
            local_step: grant.local_step.get(),
            variables: outgoing.variables.iter().map(|it| *it as u64).collect(),
            loss: Some(computed.loss),
            examples: computed.examples,
            receipts: 0,
            times: None,
        };
        let parts = vec![Part::default(); self.lines.len()];
        self.pushing =
            Some(Pushing { outgoing, commit, work, parts, committed: false, result: None });
        self.send_due();
        Ok(dense)
    }

    /// The ticket, if it is of the life that the grant is of.
    fn ticket_of(&self, grant: &Grant) -> Result<Ticket, PushError> {
        let same = self.ticket.filter(|it| it.incarnation == grant.incarnation);
        let reason = || "the replica has joined anew meanwhile".to_owned();
        same.ok_or_else(|| PushError::Lost { reason: reason() })
    }

    /// The dense gradients of pushes that are over, by variable: memory to be used again.
    pub fn take_spent(&mut self) -> impl Iterator<Item = (usize, ArrayD<T>)> {
        std::mem::take(&mut self.spent).into_iter()
    }

    /// Waits for what becomes of the contribution under way.
    async fn outcome(&mut self) -> Result<Outcome, PushError> {
        loop {
            if let Some(result) = self.pushing.as_mut().and_then(|pushing| pushing.result.take()) {
                return result;
            }
            if self.ended.is_some() {
                return Err(PushError::Ended);
            }
            self.connect().await?;
            self.send_due();
            self.commit();
            if !self.has_news() {
                self.receive().await;
            }
        }
    }

    /// Sends the contribution to each server that is to have it and was not sent it over its
    /// present line, whatever was committed: what broke off with a line is lost.
    pub(super) fn send_due(&mut self) {
        while let Some(server) = (0..self.lines.len()).rev().find(|&it| self.is_due(it)) {
            self.send_contribution(server);
            crash_point!("worker/between-pushes");
        }
    }

    fn is_due(&self, server: usize) -> bool {
        let Some(pushing) = self.pushing.as_ref().filter(|it| it.result.is_none()) else {
            return false;
        };
        let Some(line) = &self.lines[server] else { return false };
        let part = &pushing.parts[server];
        // The coordinator first says whether the replica goes on where it was.
        let welcome = server > 0 || self.welcomed;
        let its_turn = !self.in_turn || pushing.parts[..server].iter().all(Part::is_staged);
        welcome && its_turn && !part.is_staged() && part.sent != line.opened
    }

    /// Sends the contribution to one server, with a wish for the variables that come of it. The
    /// coordinator's own part is followed by the commit at once, if nobody else has a part.
    fn send_contribution(&mut self, server: usize) {
        let Some(ticket) = self.ticket else { return };
        let pull = self.mirror.ask_next(server);
        let (Some(pushing), Some(line)) = (&mut self.pushing, &self.lines[server]) else { return };
        pushing.parts[server].sent = line.opened;
        let mut messages = pushing.outgoing.messages(server, ticket, self.sequence);
        messages.splice(0..0, pull);
        if self.lines.len() == 1 {
            pushing.committed = true;
            messages.push(Message::Commit(pushing.commit(0)));
        }
        line.send(messages);
    }

    /// A server holds its part whole, until the coordinator has decided.
    pub(super) fn staged(&mut self, server: usize, receipt: u64) {
        if let Some(part) = self.pushing.as_mut().and_then(|it| it.parts.get_mut(server)) {
            part.receipt = Some(receipt);
        }
        self.send_due();
    }

    /// The coordinator's line is gone, and perhaps the commit with it.
    pub(super) fn uncommitted(&mut self) {
        if let Some(pushing) = &mut self.pushing {
            pushing.committed = false;
        }
    }

    /// Commits once the coordinator was sent its part, and every other server holds its own.
    fn commit(&mut self) {
        let (Some(pushing), Some(line)) = (&mut self.pushing, &self.lines[0]) else { return };
        let first = usize::from(!self.in_turn);
        let held = pushing.parts.iter().skip(first).all(Part::is_staged);
        let sent = pushing.parts[0].is_staged() || pushing.parts[0].sent == line.opened;
        if self.welcomed && held && sent && !pushing.committed && pushing.result.is_none() {
            crash_point!("worker/before-commit");
            pushing.committed = true;
            // The coordinator knows of its own part.
            let receipts = pushing.parts[1..].iter().filter_map(|part| part.receipt);
            let receipts = receipts.fold(0, |together, one| together ^ one);
            line.send(vec![Message::Commit(pushing.commit(receipts))]);
            crash_point!("worker/commit-sent");
        }
    }
}
