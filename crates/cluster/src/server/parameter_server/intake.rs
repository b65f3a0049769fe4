//! A replica's contributions on their way into a server: announced, given room, filled, and then
//! staged.
//!
//! Its sender is answered over the connection that it came over, and over no other: a replica that
//! has connected anew sends again what was not answered. Invariant: nothing waits for room, and no
//! lease is renewed, in the name of a connection that is gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sync_replicas::{ReplicaId, Scalar};

use super::ParameterServer;
use crate::coordinator::{Contribution, Ticket};
use crate::index::ServerIndex;
use crate::proto;
use crate::proto::to_replica::Message as Answer;
use crate::server::bad_message::BadMessage;
use crate::shard::{Announced, Open, Section, StageError};
use crate::wire;

/// The input of one connection of a replica.
pub(crate) struct Intake<T: Scalar> {
    server: Arc<ParameterServer<T>>,
    replica: ReplicaId,
    /// Its number at this server.
    connection: u64,
    /// The contribution whose chunks come, and its replica.
    open: Option<(Open<T>, Ticket)>,
    /// Told that the replica lives, since heartbeats wait behind what it sends.
    alive: Box<dyn Fn(Ticket) + Send + Sync>,
}

/// How often the replica waiting for room is checked.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

impl<T: Scalar> Intake<T> {
    pub(crate) fn new(
        server: Arc<ParameterServer<T>>,
        replica: ReplicaId,
        connection: u64,
        alive: Box<dyn Fn(Ticket) + Send + Sync>,
    ) -> Self {
        Self { server, replica, connection, open: None, alive }
    }

    /// Takes an announcement, and waits for room if needed.
    ///
    /// # Errors
    /// It is invalid.
    pub(crate) async fn begin(&mut self, begin: proto::Begin) -> Result<(), BadMessage> {
        let ticket = wire::ticket(begin.ticket)?;
        self.open = None;
        let (incarnation, sequence) = (ticket.incarnation, begin.sequence);
        let contribution = Contribution { replica: self.replica, incarnation, sequence };
        let (generation, parts, known) = {
            let shard = self.server.shard();
            let known = match shard.is_staged(contribution) {
                true => Some(Announced::Held),
                false => shard.is_decided(contribution).then_some(Announced::Decided),
            };
            (shard.snapshot().generation, shard.sections().len(), known)
        };
        if ticket.generation != generation {
            // Of an earlier life; the coordinator tells the replica (P-9).
            return Ok(());
        }
        // Memory is for the parts that this server has, not for what a sender announces.
        let got = begin.sections.len();
        if got > parts {
            return Err(BadMessage::Sections { got, most: parts });
        }
        let sections: Result<Vec<Section>, _> =
            begin.sections.iter().map(Section::try_from).collect();
        let sections = sections?;
        // What needs no room does not wait for it: the room that it took may be another's by now.
        let announced = match known {
            Some(known) => Ok(known),
            None if !self.until_decided(contribution).await => return Ok(()),
            None if !self.make_room(contribution, ticket).await => return Ok(()),
            // The shard may have gone on while it waited.
            None => self.server.shard().announce(contribution, &sections, ticket.generation),
        };
        let keeps = matches!(announced, Ok(Announced::Open(_) | Announced::Held));
        if !keeps {
            self.server.room.release(contribution);
        }
        if keeps || matches!(announced, Ok(Announced::Decided)) {
            self.has_room(ticket, sequence);
        }
        match announced {
            Ok(Announced::Open(open)) => self.open = Some((open, ticket)),
            Ok(Announced::Held) => {
                let receipt = self.server.receipt(ticket.generation, contribution);
                self.staged(ticket, sequence, receipt);
            }
            Ok(Announced::Decided) => self.staged(ticket, sequence, 0),
            Ok(Announced::Old) => {}
            Err(error) => self.refuse(ticket, sequence, &error),
        }
        Ok(())
    }

    /// Waits until the coordinator has decided on enough of the replica's whole contributions, as
    /// long as its connection lives; whether it has. A replica that commits nothing of what it
    /// sends waits for ever, and what it holds is little (P-27).
    async fn until_decided(&self, contribution: Contribution) -> bool {
        loop {
            let decided = self.server.decided.notified();
            if !self.server.shard().is_full(contribution) {
                return true;
            }
            if !self.server.connections().is_live(self.replica, self.connection) {
                return false;
            }
            let _ = tokio::time::timeout(BEAT, decided).await;
        }
    }

    /// Waits for room, as long as its connection lives; whether there is some.
    async fn make_room(&self, contribution: Contribution, ticket: Ticket) -> bool {
        let room = &self.server.room;
        if room.hand_over(contribution) {
            return true;
        }
        let place = room.place();
        tokio::pin!(place);
        loop {
            let place = tokio::time::timeout(BEAT, &mut place).await;
            // Held until the place is taken: a later connection of the replica finds it so.
            let connections = self.server.connections();
            if !connections.is_live(self.replica, self.connection) {
                return false;
            }
            match place {
                Ok(Some(place)) => {
                    room.take(contribution, place);
                    return true;
                }
                Ok(None) => return false,
                Err(_) => drop(connections),
            }
            (self.alive)(ticket);
        }
    }

    /// Takes some bytes.
    pub(crate) fn chunk(&mut self, chunk: &proto::Chunk) {
        let received = &self.server.counters.received_bytes;
        received.fetch_add(chunk.data.len() as u64, Ordering::Relaxed);
        // Chunks of a contribution that was refused are let pass.
        let Some((open, ticket)) = &self.open else { return };
        let (contribution, ticket) = (open.contribution(), *ticket);
        (self.alive)(ticket);
        // Under its own lock: the shard may be at work on what others have sent.
        match open.receive(chunk.section as usize, &chunk.data) {
            Ok(false) => {}
            Ok(true) => {
                self.open = None;
                let receipt = self.server.receipt(ticket.generation, contribution);
                self.staged(ticket, contribution.sequence, receipt);
            }
            // A new life of the shared state has begun meanwhile (P-9).
            Err(StageError::Unknown { .. }) => self.open = None,
            // Nothing of it is staged any longer; what the replica staged before it belongs to
            // others.
            Err(error) => {
                self.open = None;
                self.server.room.release(contribution);
                self.refuse(ticket, contribution.sequence, &error);
            }
        }
    }

    /// The leader's server tells the replica that the others may now have its contribution.
    fn has_room(&self, ticket: Ticket, sequence: u64) {
        let leads = self.server.index == ServerIndex::LEADER;
        if leads && self.server.bounded && self.server.placement.shards() > 1 {
            self.answer(ticket, Answer::Room(proto::Room { sequence }));
        }
    }

    fn staged(&self, ticket: Ticket, sequence: u64, receipt: u64) {
        crash_point!("server/part-staged");
        // The leader knows of its own part.
        if self.server.index != ServerIndex::LEADER {
            self.answer(ticket, Answer::Staged(proto::Staged { sequence, receipt }));
        }
    }

    fn refuse(&self, ticket: Ticket, sequence: u64, error: &StageError) {
        let reason = error.to_string();
        self.answer(ticket, Answer::Refused(proto::Refused { sequence, reason, rejoin: false }));
    }

    fn answer(&self, ticket: Ticket, answer: Answer) {
        self.server.connections().answer(self.replica, self.connection, Some(ticket), answer);
    }
}
