//! What a replica must learn while it computes (P-13), and its heartbeat's ticket.

use std::sync::{Arc, Mutex, PoisonError};

use sync_replicas::{CancellationSource, GlobalStep};

use crate::batches::{BatchSender, batch};
use crate::coordinator::Ticket;
use crate::proto::to_replica::Message;
use crate::proto::to_server::Message as ToServerMessage;
use crate::proto::{Alive, ToServer};

/// Shared by the readers of all lines, the heartbeat and the replica itself.
#[derive(Clone)]
pub(super) struct Signals {
    pub(super) superseded: CancellationSource,
    member: Arc<Mutex<Option<Member>>>,
}

/// As whom the replica lives, and over which line it says so.
struct Member {
    ticket: Ticket,
    sequence: u64,
    sender: BatchSender<ToServer>,
}

impl Signals {
    pub(super) fn new() -> Self {
        let superseded = CancellationSource::new(GlobalStep::default());
        Self { superseded, member: Arc::default() }
    }

    /// Looks at a message, about the life of a ticket, before the replica does.
    pub(super) fn note(&self, ticket: Option<Ticket>, message: &Message) {
        match message {
            Message::Advanced(advanced) if self.is_of(advanced.generation) => {
                self.superseded.advance(GlobalStep::new(advanced.global_step));
            }
            Message::Superseded(it)
                if self.member().as_ref().is_some_and(|member| {
                    member.sequence == it.sequence && ticket == Some(member.ticket)
                }) =>
            {
                self.superseded.supersede();
            }
            Message::Ended(ended) => {
                self.superseded.advance(GlobalStep::new(ended.global_step));
                self.superseded.end();
            }
            _ => {}
        }
    }

    /// The replica lives on under this ticket.
    pub(super) fn join(&self, ticket: Ticket, sequence: u64, sender: BatchSender<ToServer>) {
        *self.member() = Some(Member { ticket, sequence, sender });
    }

    /// It works on the next piece.
    pub(super) fn work_on(&self, sequence: u64) {
        if let Some(member) = &mut *self.member() {
            member.sequence = sequence;
        }
    }

    /// It is no member for the time being.
    pub(super) fn leave(&self) {
        *self.member() = None;
    }

    /// Says that the replica lives; not heard where it is no member.
    pub(super) fn beat(&self) {
        if let Some(member) = &*self.member() {
            let alive = Alive { ticket: Some(member.ticket.into()) };
            let message = ToServer { message: Some(ToServerMessage::Alive(alive)) };
            drop(member.sender.send(batch(vec![message])));
        }
    }

    fn is_of(&self, generation: u64) -> bool {
        self.member().as_ref().is_some_and(|member| member.ticket.generation.get() == generation)
    }

    fn member(&self) -> std::sync::MutexGuard<'_, Option<Member>> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
