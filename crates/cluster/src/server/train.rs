//! One replica's connection: its messages in order, each answered through its post.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sync_replicas::engine::JoinError;
use sync_replicas::{Generation, GlobalStep, ReplicaId, Scalar};
use tonic::Status;

use super::node::{Node, lock};
use crate::batches::{Batches, batches};
use crate::coordinator::{Answer as Reply, Contribution, Order, Refusal, Ticket};
use crate::proto::to_replica::Message as Answer;
use crate::proto::to_server::Message;
use crate::proto::{self, ToReplica, ToServer};
use crate::shard::{Open, Section, StageError};
use crate::stream::Receiving;
use crate::wire;

/// How often whoever waits for room is noted as alive.
const BEAT: std::time::Duration = std::time::Duration::from_secs(1);

/// Who is at the other end, and what it is sending.
struct Connection<T> {
    replica: ReplicaId,
    number: u64,
    /// The contribution whose chunks come, and whose it is.
    open: Option<(Open<T>, Ticket)>,
}

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// Takes a connection: the hello first, then the rest in a task of its own.
    pub(super) async fn train(
        self: Arc<Self>,
        mut incoming: Receiving<ToServer>,
    ) -> Result<Batches<ToReplica>, Status> {
        let first = self.first(&mut incoming).await?;
        let Some(ToServer { message: Some(Message::Hello(hello)) }) = first else {
            let reason = "the first message must be a hello";
            self.nonsense("a caller", reason);
            return Err(Status::invalid_argument(reason));
        };
        if hello.fingerprint[..] != self.settings.fingerprint[..] {
            return Err(Status::failed_precondition(
                "this replica runs another program than the parameter servers: variables, \
                 optimizer, numbers of replicas and servers must be the same everywhere",
            ));
        }
        let replica = ReplicaId::new(hello.replica);
        let total = self.settings.config.total_num_replicas();
        if hello.replica >= total as u64 {
            let unknown = JoinError::Unknown { replica, total };
            return Err(Status::failed_precondition(unknown.to_string()));
        }
        let (sender, outgoing) = batches();
        if !self.posts().open(replica, hello.connection, sender) {
            return Err(Status::already_exists(
                "this connection of the replica is open already, or a newer one is",
            ));
        }
        match self.welcome(replica, &hello) {
            Ok(()) => {}
            Err(refusal) => {
                let refused = Answer::Refused(refusal.into());
                self.posts().send(replica, vec![refused]);
                self.posts().close(replica, hello.connection);
                return Ok(outgoing);
            }
        }
        let connection = Connection { replica, number: hello.connection, open: None };
        tokio::spawn(self.read(connection, incoming));
        Ok(outgoing)
    }

    fn welcome(self: &Arc<Self>, replica: ReplicaId, hello: &proto::Hello) -> Result<(), Refusal> {
        let in_turn = self.settings.staging < self.settings.config.total_num_replicas();
        let Some(hub) = &self.hub else {
            let snapshot = self.shard().snapshot();
            let welcome = proto::Welcome {
                generation: snapshot.generation.get(),
                global_step: snapshot.global_step.get(),
                ticket: None,
                in_turn,
            };
            self.posts().send(replica, vec![Answer::Welcome(welcome)]);
            return Ok(());
        };
        let mut hub = lock(hub);
        if let Some(ended) = hub.ending.clone() {
            if self.is_over() {
                // It comes too late, which is no fault of its own (P-1).
                self.posts().send(replica, vec![Answer::Ended(ended)]);
            }
            // Otherwise it hears of the end with the others.
            return Ok(());
        }
        let mut actions = crate::coordinator::Actions::default();
        let known = hello.ticket.map(Ticket::from);
        let now = self.now();
        let ticket = hub.hello(replica, hello.connection, known, now, &mut actions)?;
        let welcome = proto::Welcome {
            generation: ticket.generation.get(),
            global_step: hub.coordinator.global_step().get(),
            ticket: Some(ticket.into()),
            in_turn,
        };
        self.posts().send(replica, vec![Answer::Welcome(welcome)]);
        self.act(&mut hub, actions);
        Ok(())
    }

    async fn read(
        self: Arc<Self>,
        mut connection: Connection<T>,
        mut incoming: Receiving<ToServer>,
    ) {
        loop {
            match incoming.message().await {
                Ok(Some(ToServer { message: Some(message) })) => {
                    if !self.posts().is_open(connection.replica, connection.number) {
                        break;
                    }
                    if let Err(reason) = self.take(&mut connection, message).await {
                        self.nonsense(&connection.replica.to_string(), &reason);
                        break;
                    }
                }
                Ok(Some(ToServer { message: None })) => {}
                Ok(None) => break,
                Err(status) => {
                    self.broke(&connection.replica.to_string(), &status);
                    break;
                }
            }
        }
        // Its lease goes on: it may come back in time (P-5).
        self.posts().close(connection.replica, connection.number);
    }

    /// An error closes the connection: what came makes no sense.
    async fn take(
        self: &Arc<Self>,
        connection: &mut Connection<T>,
        message: Message,
    ) -> Result<(), String> {
        let replica = connection.replica;
        match message {
            Message::Pull(pull) => {
                let after = (Generation::new(pull.generation), GlobalStep::new(pull.after));
                let snapshot = self.shard().snapshot();
                let sent = self.posts().pull(replica, after, &snapshot);
                self.counters.snapshots.fetch_add(sent, Ordering::Relaxed);
                Ok(())
            }
            Message::Begin(begin) => self.begin(connection, begin).await,
            Message::Chunk(chunk) => self.chunk(connection, &chunk),
            Message::Hello(_) => Err("a second hello on one connection".to_owned()),
            message => self.for_coordinator(replica, message),
        }
    }

    async fn begin(
        &self,
        connection: &mut Connection<T>,
        begin: proto::Begin,
    ) -> Result<(), String> {
        let ticket = wire::ticket(begin.ticket).map_err(|error| error.to_string())?;
        connection.open = None;
        if ticket.generation != self.shard().snapshot().generation {
            // Of an earlier life; the coordinator tells the replica (P-9).
            return Ok(());
        }
        // Memory is for what this server has parts for, not for what somebody announces.
        let (got, parts) = (begin.sections.len(), self.shard().parts().len());
        if got > parts {
            return Err(format!("{got} sections came, expected at most {parts}, one a part"));
        }
        self.make_room(connection.replica, ticket).await;
        let contribution = Contribution {
            replica: connection.replica,
            incarnation: ticket.incarnation,
            sequence: begin.sequence,
        };
        let sections: Result<Vec<Section>, _> =
            begin.sections.iter().map(Section::try_from).collect();
        let sections = sections.map_err(|error| error.to_string())?;
        let begun = self.begin_staging(contribution, &sections);
        match begun {
            Ok((_, true)) => self.staged(connection.replica, begin.sequence),
            Ok((open, false)) => connection.open = Some((open, ticket)),
            // An old packet: the replica has long gone on.
            Err(StageError::Older { .. }) => {}
            Err(error) => {
                self.release(connection.replica);
                self.refuse(connection.replica, begin.sequence, error.to_string());
            }
        }
        Ok(())
    }

    fn begin_staging(
        &self,
        contribution: Contribution,
        sections: &[Section],
    ) -> Result<(Open<T>, bool), StageError> {
        let mut shard = self.shard();
        let complete = shard.begin(contribution, sections)?;
        Ok((shard.open(contribution)?, complete))
    }

    /// Waits for room; whoever waits on this connection lives, though its heartbeats wait with it.
    async fn make_room(&self, replica: ReplicaId, ticket: Ticket) {
        let room = self.reserve(replica);
        tokio::pin!(room);
        while tokio::time::timeout(BEAT, &mut room).await.is_err() {
            self.heard(replica, ticket);
        }
    }

    /// Data on its way is a sign of life: the heartbeats come behind it. While the coordinator is
    /// at work nobody waits to say so; the next piece will.
    fn heard(&self, replica: ReplicaId, ticket: Ticket) {
        if let Some(mut hub) = self.hub.as_ref().and_then(|hub| hub.try_lock().ok()) {
            // Whoever is no member any more is told so when it commits.
            let mut unsaid = crate::coordinator::Actions::default();
            hub.coordinator.alive(replica, ticket, self.now(), &mut unsaid);
        }
    }

    fn chunk(&self, connection: &mut Connection<T>, chunk: &proto::Chunk) -> Result<(), String> {
        self.counters.received_bytes.fetch_add(chunk.data.len() as u64, Ordering::Relaxed);
        // Chunks of a contribution that was refused are let pass.
        let Some((open, ticket)) = &connection.open else { return Ok(()) };
        self.heard(connection.replica, *ticket);
        let contribution = open.contribution();
        // In a lock of its own: the shard may be at work on what others have sent.
        match open.receive(chunk.section as usize, &chunk.data) {
            Ok(false) => {}
            Ok(true) => {
                connection.open = None;
                self.staged(connection.replica, contribution.sequence);
            }
            // A new life of the shared state has begun meanwhile (P-9).
            Err(StageError::Unknown { .. }) => connection.open = None,
            Err(error) => {
                connection.open = None;
                self.shard().discard(contribution);
                self.release(connection.replica);
                self.refuse(connection.replica, contribution.sequence, error.to_string());
            }
        }
        Ok(())
    }

    fn staged(&self, replica: ReplicaId, sequence: u64) {
        crash_point!("server/part-staged");
        // With one server the commit is on its way already.
        if self.settings.placement.shards() > 1 {
            self.posts().send(replica, vec![Answer::Staged(proto::Staged { sequence })]);
        }
    }

    fn refuse(&self, replica: ReplicaId, sequence: u64, reason: String) {
        let refused = proto::Refused { sequence, reason, rejoin: false };
        self.posts().send(replica, vec![Answer::Refused(refused)]);
    }

    fn for_coordinator(
        self: &Arc<Self>,
        replica: ReplicaId,
        message: Message,
    ) -> Result<(), String> {
        let Some(hub) = &self.hub else {
            return Err("a message for the coordinator, which is ps 0".to_owned());
        };
        let words = |error: wire::WireError| error.to_string();
        let mut hub = lock(hub);
        let (now, mut actions) = (self.now(), crate::coordinator::Actions::default());
        let coordinator = &mut hub.coordinator;
        match message {
            Message::Commit(commit) => {
                let commit = wire::commit(commit).map_err(words)?;
                let contribution = Contribution {
                    replica,
                    incarnation: commit.ticket.incarnation,
                    sequence: commit.sequence,
                };
                let fits = self.shard().vet(contribution, &commit.variables);
                match fits {
                    Ok(true) => {
                        coordinator.commit(replica, &commit, now, &mut actions);
                        crash_point!("coordinator/commit-decided");
                    }
                    // Its own part may have been refused; whoever sent that knows.
                    Ok(false) => {}
                    Err(reason) => {
                        let (sequence, rejoin) = (commit.sequence, false);
                        let refusal = Refusal { sequence, reason, rejoin };
                        actions.orders.push(Order::Discard(contribution));
                        actions.answers.push((replica, Reply::Refused(refusal)));
                    }
                }
            }
            Message::Ask(ask) => {
                let ticket = wire::ticket(ask.ticket).map_err(words)?;
                coordinator.ask(replica, ticket, ask.sequence, now, &mut actions);
            }
            Message::GiveUp(it) => {
                let ticket = wire::ticket(it.ticket).map_err(words)?;
                let work = (it.sequence, it.begun);
                coordinator.give_up(replica, ticket, work, now, &mut actions);
            }
            Message::Alive(alive) => {
                let ticket = wire::ticket(alive.ticket).map_err(words)?;
                coordinator.alive(replica, ticket, now, &mut actions);
            }
            Message::Leave(leave) => {
                let ticket = wire::ticket(leave.ticket).map_err(words)?;
                let failure = (!leave.reason.is_empty()).then(|| wire::reason(leave.reason));
                coordinator.leave(replica, ticket, failure, now, &mut actions);
            }
            _ => return Err("a message that a replica does not send".to_owned()),
        }
        self.act(&mut hub, actions);
        Ok(())
    }
}
