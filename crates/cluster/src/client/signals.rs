//! What a replica must learn while it computes (P-13), and its heartbeat.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync_replicas::GlobalStep;
use sync_replicas::driver::CancellationSource;

use super::protocol::{Member, Reply, Signal};
use crate::batches::{BatchSender, batch};
use crate::coordinator::Ticket;
use crate::proto::to_server::Message;
use crate::proto::{Alive, ToServer};

/// Shared by the readers of all connections, the heartbeat and the replica itself.
#[derive(Clone)]
pub(super) struct Signals {
    pub(super) superseded: CancellationSource,
    living: Arc<Mutex<Option<Living>>>,
}

/// The replica's identity, and the connection for its heartbeats.
struct Living {
    member: Member,
    sender: BatchSender<ToServer>,
}

impl Signals {
    pub(super) fn new() -> Self {
        let superseded = CancellationSource::new(GlobalStep::default());
        Self { superseded, living: Arc::default() }
    }

    /// Reads a message, about the life of a ticket, before the replica does.
    pub(super) fn note(&self, about: Option<Ticket>, reply: &Reply) {
        let member = self.living().as_ref().map(|it| it.member);
        if let Some(signal) = Signal::of(member, about, reply) {
            signal.tell(&self.superseded);
        }
    }

    /// The replica lives as this member, if any, and sends its heartbeats over this connection.
    pub(super) fn live(&self, member: Option<Member>, sender: Option<BatchSender<ToServer>>) {
        *self.living() = member.zip(sender).map(|(member, sender)| Living { member, sender });
    }

    /// Sends a heartbeat, unless the replica is not a member.
    pub(super) fn beat(&self) {
        if let Some(living) = &*self.living() {
            let alive = Alive { ticket: Some(living.member.ticket.into()) };
            let message = ToServer { message: Some(Message::Alive(alive)) };
            drop(living.sender.send(batch(vec![message])));
        }
    }

    fn living(&self) -> MutexGuard<'_, Option<Living>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
