//! A contribution on its way into a server: announced, given room, filled, and then staged.
//!
//! Its sender is answered over the connection that it came over, and over no other: whoever has
//! connected anew sends again what was not answered. Invariant: nobody waits for room, and nobody
//! lives, in the name of a connection that is gone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sync_replicas::{Generation, Scalar};

use super::node::Node;
use super::train::Connection;
use crate::coordinator::{self, Actions, Contribution, Ticket};
use crate::proto;
use crate::proto::to_replica::Message as Answer;
use crate::shard::{Open, Section, StageError};
use crate::wire;

/// How often whoever waits for room is looked at.
const BEAT: Duration = Duration::from_secs(1);

/// What is to be done about a contribution that is announced.
enum Announced<T> {
    /// It is whole: nothing that follows is wanted.
    Held,
    /// The coordinator's word on it has come.
    Decided,
    Open(Open<T>),
    /// An old packet: the replica has long gone on.
    Old,
}

impl<T: Scalar + bytemuck::Pod> Node<T> {
    pub(super) async fn begin(
        &self,
        connection: &mut Connection<T>,
        begin: proto::Begin,
    ) -> Result<(), String> {
        let ticket = wire::ticket(begin.ticket).map_err(|error| error.to_string())?;
        connection.open = None;
        let contribution = Contribution {
            replica: connection.replica,
            incarnation: ticket.incarnation,
            sequence: begin.sequence,
        };
        let (generation, parts, known) = {
            let shard = self.shard();
            let known = match shard.is_staged(contribution) {
                true => Some(Announced::Held),
                false => shard.is_decided(contribution).then_some(Announced::Decided),
            };
            (shard.snapshot().generation, shard.parts().len(), known)
        };
        if ticket.generation != generation {
            // Of an earlier life; the coordinator tells the replica (P-9).
            return Ok(());
        }
        // Memory is for what this server has parts for, not for what somebody announces.
        let got = begin.sections.len();
        if got > parts {
            return Err(format!("{got} sections came, expected at most {parts}, one a part"));
        }
        let sections: Result<Vec<Section>, _> =
            begin.sections.iter().map(Section::try_from).collect();
        let sections = sections.map_err(|error| error.to_string())?;
        // What needs no room does not wait for it: the room that it took may be another's by now.
        let announced = match known {
            Some(known) => Ok(known),
            None if !self.make_room(connection, ticket, contribution).await => return Ok(()),
            None => self.announce(contribution, &sections, ticket.generation),
        };
        let keeps = matches!(announced, Ok(Announced::Open(_) | Announced::Held));
        if !keeps {
            self.room.release(contribution);
        }
        match announced {
            Ok(Announced::Open(open)) => connection.open = Some((open, ticket)),
            Ok(Announced::Held) => {
                let receipt = self.receipt(ticket.generation, contribution);
                self.staged(connection, ticket, (begin.sequence, receipt));
            }
            Ok(Announced::Decided) => self.staged(connection, ticket, (begin.sequence, 0)),
            Ok(Announced::Old) => {}
            Err(error) => self.refuse(connection, ticket, begin.sequence, error.to_string()),
        }
        Ok(())
    }

    /// The shard may have gone on while the contribution waited for room.
    fn announce(
        &self,
        contribution: Contribution,
        sections: &[Section],
        generation: Generation,
    ) -> Result<Announced<T>, StageError> {
        let mut shard = self.shard();
        if shard.snapshot().generation != generation {
            return Ok(Announced::Old);
        }
        match shard.begin(contribution, sections) {
            Ok(true) => Ok(Announced::Held),
            Ok(false) => Ok(Announced::Open(shard.open(contribution)?)),
            Err(StageError::Decided { .. }) => Ok(Announced::Decided),
            Err(StageError::Older { .. }) => Ok(Announced::Old),
            Err(error) => Err(error),
        }
    }

    /// Waits for room, as long as its connection is there; whether there is some. Whoever waits
    /// lives, though its heartbeats wait behind what it sends.
    async fn make_room(
        &self,
        connection: &Connection<T>,
        ticket: Ticket,
        contribution: Contribution,
    ) -> bool {
        let (replica, number) = (connection.replica, connection.number);
        if self.room.hand_over(contribution) {
            return true;
        }
        let place = self.room.place();
        tokio::pin!(place);
        loop {
            let place = tokio::time::timeout(BEAT, &mut place).await;
            // Held until the place is taken: a later connection of the replica finds it so.
            let posts = self.posts();
            if !posts.is_live(replica, number) {
                return false;
            }
            match place {
                Ok(Some(place)) => {
                    self.room.take(contribution, place);
                    return true;
                }
                Ok(None) => return false,
                Err(_) => drop(posts),
            }
            self.heard(connection, ticket);
        }
    }

    /// Data on its way is a sign of life: the heartbeats come behind it. While the coordinator is
    /// at work nobody waits to say so; the next piece will.
    fn heard(&self, connection: &Connection<T>, ticket: Ticket) {
        if let Some(mut hub) = self.hub.as_ref().and_then(|hub| hub.try_lock().ok()) {
            // Whoever is no member any more is told so when it commits.
            let mut unsaid = Actions::default();
            hub.coordinator.alive(connection.replica, ticket, self.now(), &mut unsaid);
        }
    }

    pub(super) fn chunk(
        &self,
        connection: &mut Connection<T>,
        chunk: &proto::Chunk,
    ) -> Result<(), String> {
        self.counters.received_bytes.fetch_add(chunk.data.len() as u64, Ordering::Relaxed);
        // Chunks of a contribution that was refused are let pass.
        let Some((open, ticket)) = &connection.open else { return Ok(()) };
        self.heard(connection, *ticket);
        let (contribution, ticket) = (open.contribution(), *ticket);
        // In a lock of its own: the shard may be at work on what others have sent.
        match open.receive(chunk.section as usize, &chunk.data) {
            Ok(false) => {}
            Ok(true) => {
                connection.open = None;
                let receipt = self.receipt(ticket.generation, contribution);
                self.staged(connection, ticket, (contribution.sequence, receipt));
            }
            // A new life of the shared state has begun meanwhile (P-9).
            Err(StageError::Unknown { .. }) => connection.open = None,
            // Nothing of it is staged any more; what the replica staged before it is not its own.
            Err(error) => {
                connection.open = None;
                self.room.release(contribution);
                self.refuse(connection, ticket, contribution.sequence, error.to_string());
            }
        }
        Ok(())
    }

    /// What shows the coordinator that this server holds a contribution.
    pub(super) fn receipt(&self, generation: Generation, contribution: Contribution) -> u64 {
        let (secret, server) = (self.secret.load(Ordering::Acquire), self.settings.index);
        coordinator::receipt(secret, server, generation, contribution)
    }

    fn staged(&self, connection: &Connection<T>, ticket: Ticket, (sequence, receipt): (u64, u64)) {
        crash_point!("server/part-staged");
        // With one server the commit is on its way already.
        if self.settings.placement.shards() > 1 {
            let staged = Answer::Staged(proto::Staged { sequence, receipt });
            self.answer(connection, ticket, staged);
        }
    }

    fn refuse(&self, connection: &Connection<T>, ticket: Ticket, sequence: u64, reason: String) {
        let refused = Answer::Refused(proto::Refused { sequence, reason, rejoin: false });
        self.answer(connection, ticket, refused);
    }

    fn answer(&self, connection: &Connection<T>, ticket: Ticket, answer: Answer) {
        let (replica, number) = (connection.replica, connection.number);
        self.posts().answer(replica, number, (Some(ticket), answer));
    }
}
