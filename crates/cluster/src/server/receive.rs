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
use crate::coordinator::{Actions, Contribution, Ticket};
use crate::proto::to_replica::Message as Answer;
use crate::proto::{self};
use crate::shard::{Open, Section, StageError};
use crate::wire;

/// How often whoever waits for room is looked at.
const BEAT: Duration = Duration::from_secs(1);

/// What is to be done about a contribution that is announced.
enum Announced<T> {
    /// It is whole, or was decided on: nothing that follows is wanted.
    Held,
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
        let (generation, parts, held) = {
            let shard = self.shard();
            let held = shard.is_decided(contribution) || shard.is_staged(contribution);
            (shard.snapshot().generation, shard.parts().len(), held)
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
        if held {
            self.staged(connection, begin.sequence);
            return Ok(());
        }
        if !self.make_room(connection, ticket, contribution).await {
            return Ok(());
        }
        match self.announce(contribution, &sections, ticket.generation) {
            Ok(Announced::Open(open)) => connection.open = Some((open, ticket)),
            Ok(Announced::Held) => self.staged(connection, begin.sequence),
            Ok(Announced::Old) => self.room.release(contribution),
            Err(error) => {
                self.room.release(contribution);
                self.refuse(connection, begin.sequence, error.to_string());
            }
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
            Err(StageError::Decided { .. }) => {
                self.room.release(contribution);
                Ok(Announced::Held)
            }
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
        let contribution = open.contribution();
        // In a lock of its own: the shard may be at work on what others have sent.
        match open.receive(chunk.section as usize, &chunk.data) {
            Ok(false) => {}
            Ok(true) => {
                connection.open = None;
                self.staged(connection, contribution.sequence);
            }
            // A new life of the shared state has begun meanwhile (P-9).
            Err(StageError::Unknown { .. }) => connection.open = None,
            // Nothing of it is staged any more; what the replica staged before it is not its own.
            Err(error) => {
                connection.open = None;
                self.room.release(contribution);
                self.refuse(connection, contribution.sequence, error.to_string());
            }
        }
        Ok(())
    }

    fn staged(&self, connection: &Connection<T>, sequence: u64) {
        crash_point!("server/part-staged");
        // With one server the commit is on its way already.
        if self.settings.placement.shards() > 1 {
            let staged = Answer::Staged(proto::Staged { sequence });
            self.posts().answer(connection.replica, connection.number, staged);
        }
    }

    fn refuse(&self, connection: &Connection<T>, sequence: u64, reason: String) {
        let refused = Answer::Refused(proto::Refused { sequence, reason, rejoin: false });
        self.posts().answer(connection.replica, connection.number, refused);
    }
}
