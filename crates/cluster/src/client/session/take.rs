//! What comes over the lines, one event at a time.

use std::time::Duration;

use sync_replicas::{FailedSave, GlobalStep, Scalar};
use tokio::time::Instant;

use super::{PushError, Session};
use crate::client::line::Event;
use crate::coordinator::Ticket;
use crate::proto;
use crate::proto::to_replica::Message;
use crate::wire::{self, WireError};

/// How long a replica that must join anew waits before it does.
const AGAIN: Duration = Duration::from_millis(100);

impl<T: Scalar + bytemuck::Pod> Session<T> {
    /// Waits for one event and takes it, and whatever else has come.
    pub(super) async fn receive(&mut self) {
        let incoming = {
            let _lent = self.landing.lend(&mut self.mirror);
            self.inbox.recv().await
        };
        let Some(incoming) = incoming else { return };
        let mut next = Some(incoming);
        while let Some(incoming) = next {
            let open = self.lines.get(incoming.server).and_then(Option::as_ref);
            // What a line said before it was given up is void.
            if open.is_some_and(|line| line.opened == incoming.opened) {
                self.take(incoming.server, incoming.event);
            }
            next = self.inbox.try_recv().ok();
        }
    }

    fn take(&mut self, server: usize, event: Event) {
        match event {
            Event::Lost(reason) => {
                tracing::info!(server, address = self.reach.address(server), reason, "line lost");
                self.drop_line(server);
            }
            Event::Landed => {}
            // It is about a life that is over, or that this replica does not know of yet.
            Event::Message(Some(ticket), _) if self.ticket != Some(ticket) => {}
            Event::Message(ticket, message) => {
                if let Err(error) = self.take_message(server, ticket, message) {
                    tracing::warn!(server, %error, "a message makes no sense; connecting again");
                    self.drop_line(server);
                }
            }
        }
    }

    fn take_message(
        &mut self,
        server: usize,
        ticket: Option<Ticket>,
        message: Message,
    ) -> Result<(), WireError> {
        if ticket.is_some() {
            return self.take_answer(server, message);
        }
        match message {
            Message::Welcome(welcome) => self.welcome(server, &welcome),
            Message::Values(values) => self.mirror.take_queued(server, &values)?,
            Message::Refused(refused) => self.refuse(server, refused),
            Message::Ended(ended) => {
                self.last = GlobalStep::new(ended.global_step);
                self.ended = Some((ended.reason, ended.failed));
            }
            Message::SaveFailed(failed) => {
                let reason = wire::reason(failed.reason);
                self.failed_saves.push(FailedSave { step: failed.step, reason });
            }
            Message::Recorded(recorded) => self.recorded = Some(recorded.into()),
            Message::Advanced(advanced) if self.keep_made => {
                self.made.push_back(advanced.into());
            }
            // Signalled when it came; or an answer that does not say to which life.
            _ => {}
        }
        Ok(())
    }

    /// Takes what was said to this very life: pieces of work are counted anew in each.
    fn take_answer(&mut self, server: usize, message: Message) -> Result<(), WireError> {
        match message {
            Message::Granted(granted) if granted.sequence == self.sequence => {
                crash_point!("worker/token-assigned");
                if let Some(ticket) = self.ticket {
                    let grant = wire::grant(self.settings.replica, ticket, &granted);
                    self.grant = Some(grant);
                }
            }
            Message::Pushed(pushed) if pushed.sequence == self.sequence => {
                crash_point!("worker/reply-lost");
                let outcome = wire::outcome(pushed.outcome)?;
                self.next_piece();
                if let Some(pushing) = &mut self.pushing {
                    pushing.result = Some(Ok(outcome));
                }
            }
            Message::GaveUp(it) if it.sequence == self.sequence => self.next_piece(),
            Message::Staged(it) if it.sequence == self.sequence => {
                self.staged(server, it.receipt);
            }
            Message::Refused(refused) => self.refuse(server, refused),
            Message::Overdue(overdue) => {
                self.overdue = Some(overdue.reason);
                // The wait is over; the next one asks anew.
                self.ask();
            }
            Message::Left(_) => {
                self.ticket = None;
                self.drop_line(0);
            }
            // Of a piece of work that is over; or signalled when it came.
            _ => {}
        }
        Ok(())
    }

    fn welcome(&mut self, server: usize, welcome: &proto::Welcome) {
        let Some(ticket) = welcome.ticket.map(Ticket::from) else { return };
        if server != 0 {
            return;
        }
        (self.welcomed, self.resumed) = (true, true);
        if self.lines.iter().all(Option::is_some) {
            (self.down, self.told) = (None, false);
        }
        self.in_turn = welcome.in_turn;
        if self.ticket != Some(ticket) {
            if self.ticket.is_some_and(|old| old.generation != ticket.generation) {
                let generation = ticket.generation.get();
                tracing::info!(generation, "a new life of the cluster");
            }
            self.fenced_off("the replica joined anew");
            self.ticket = Some(ticket);
            self.sequence = 1;
            let step = GlobalStep::new(welcome.global_step);
            self.signals.superseded.begin(step);
        }
        if let Some(Some(line)) = self.lines.first() {
            self.signals.join(ticket, self.sequence, line.sender());
        }
        // What is being pushed in this life is sent again; what belongs to an earlier one is lost.
        let pushes = self.pushing.as_ref().is_some_and(|pushing| pushing.result.is_none());
        if !pushes && self.grant.is_none() {
            self.ask();
        }
    }

    /// Asks for the token of the present piece of work, perhaps once more.
    fn ask(&self) {
        if let Some(ticket) = self.ticket {
            let ask = proto::Ask { ticket: Some(ticket.into()), sequence: self.sequence };
            self.send(0, vec![proto::to_server::Message::Ask(ask)]);
        }
    }

    fn refuse(&mut self, server: usize, refused: proto::Refused) {
        if refused.rejoin {
            match self.ticket {
                Some(_) => tracing::info!(server, reason = refused.reason, "joining anew"),
                // At every start: servers listen before all of them are ready.
                None => tracing::debug!(server, reason = refused.reason, "not let in yet"),
            }
            // The servers may not be ready for a while; asking at once would be asking always.
            self.retry = Some(Instant::now() + AGAIN);
            if server == 0 {
                self.ticket = None;
                self.fenced_off(&refused.reason);
            }
            self.drop_line(server);
        } else if refused.sequence == self.sequence && self.pushing.is_some() {
            if let Some(pushing) = &mut self.pushing {
                pushing.result = Some(Err(PushError::Refused { reason: refused.reason }));
                let work = pushing.work;
                self.give_up(work);
            }
        } else if refused.sequence == 0 {
            self.refused = Some(refused.reason);
            self.drop_line(server);
        }
    }

    /// The present piece of work belongs to a life that is over.
    fn fenced_off(&mut self, reason: &str) {
        self.grant = None;
        self.signals.superseded.supersede();
        if let Some(pushing) = &mut self.pushing {
            let lost = PushError::Lost { reason: reason.to_owned() };
            pushing.result.get_or_insert(Err(lost));
        }
    }

    fn next_piece(&mut self) {
        self.sequence += 1;
        self.grant = None;
        self.signals.work_on(self.sequence);
        // Its token may have been sent over the line that broke, before the answer came again.
        if std::mem::take(&mut self.resumed) {
            self.ask();
        }
    }

    fn drop_line(&mut self, server: usize) {
        self.lines[server] = None;
        self.mirror.lost(server);
        if server == 0 {
            self.signals.leave();
            self.welcomed = false;
            self.uncommitted();
        }
    }
}
