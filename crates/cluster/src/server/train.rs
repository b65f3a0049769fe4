//! One replica's connection: its messages in order, each answered through its post.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sync_replicas::{Generation, GlobalStep, ReplicaId, Scalar};
use tonic::{Status, Streaming};

use super::node::{Node, lock};
use crate::batches::{Batches, batches};
use crate::coordinator::{Contribution, Refusal, Ticket};
use crate::proto::to_replica::Message as Answer;
use crate::proto::to_server::Message;
use crate::proto::{self, ToServer};
use crate::shard::{Section, StageError};
use crate::wire;

/// How long a connection may take to say hello.
const HELLO: std::time::Duration = std::time::Duration::from_secs(5);

/// How often whoever waits for room is noted as alive.
const BEAT: std::time::Duration = std::time::Duration::from_secs(1);

/// Who is at the other end, and what it is sending.
struct Connection {
    replica: ReplicaId,
    number: u64,
    /// The contribution whose chunks come.
    open: Option<Contribution>,
}

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// Takes a connection: the hello first, then the rest in a task of its own.
    pub(super) async fn train(
        self: Arc<Self>,
        mut incoming: Streaming<ToServer>,
    ) -> Result<Batches<super::posts::Sent>, Status> {
        let first = tokio::time::timeout(HELLO, incoming.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello within 5 s"))??;
        let Some(ToServer { message: Some(Message::Hello(hello)) }) = first else {
            self.counters.bad_messages.fetch_add(1, Ordering::Relaxed);
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        if hello.fingerprint[..] != self.settings.fingerprint[..] {
            return Err(Status::failed_precondition(
                "this replica runs another program than the parameter servers: variables, \
                 optimizer, numbers of replicas and servers must be the same everywhere",
            ));
        }
        let replica = ReplicaId::new(hello.replica);
        let (sender, outgoing) = batches();
        if !self.posts().open(replica, hello.connection, sender) {
            return Err(Status::already_exists("a newer connection of this replica is open"));
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
        if let Some((reason, failed)) = hub.ending.clone() {
            // It comes too late, which is no fault of its own (P-1).
            let ended = proto::Ended { reason, failed };
            self.posts().send(replica, vec![Answer::Ended(ended)]);
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

    async fn read(self: Arc<Self>, mut connection: Connection, mut incoming: Streaming<ToServer>) {
        loop {
            match incoming.message().await {
                Ok(Some(ToServer { message: Some(message) })) => {
                    if !self.posts().is_open(connection.replica, connection.number) {
                        break;
                    }
                    if let Err(error) = self.take(&mut connection, message).await {
                        self.counters.bad_messages.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(replica = %connection.replica, error, "a bad message");
                        break;
                    }
                }
                Ok(Some(ToServer { message: None })) => {}
                Ok(None) => break,
                Err(status) => {
                    let reason = crate::client::describe(&status);
                    tracing::debug!(replica = %connection.replica, reason, "connection lost");
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
        connection: &mut Connection,
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

    async fn begin(&self, connection: &mut Connection, begin: proto::Begin) -> Result<(), String> {
        let ticket = wire::ticket(begin.ticket).map_err(|error| error.to_string())?;
        connection.open = None;
        if ticket.generation != self.shard().snapshot().generation {
            // Of an earlier life; the coordinator tells the replica (P-9).
            return Ok(());
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
        let begun = self.shard().begin(contribution, &sections);
        match begun {
            Ok(complete) => {
                connection.open = Some(contribution);
                if complete {
                    self.staged(connection);
                }
            }
            // An old packet: the replica has long gone on.
            Err(StageError::Older { .. }) => {}
            Err(error) => {
                self.release(connection.replica);
                self.refuse(connection.replica, begin.sequence, error.to_string());
            }
        }
        Ok(())
    }

    /// Waits for room; whoever waits on this connection lives, though its heartbeats wait with it.
    async fn make_room(&self, replica: ReplicaId, ticket: Ticket) {
        let room = self.reserve(replica);
        tokio::pin!(room);
        while tokio::time::timeout(BEAT, &mut room).await.is_err() {
            self.heard(replica, ticket);
        }
    }

    /// Data on its way is a sign of life: the heartbeats come behind it.
    fn heard(&self, replica: ReplicaId, ticket: Ticket) {
        if let Some(hub) = &self.hub {
            lock(hub).coordinator.alive(replica, ticket, self.now());
        }
    }

    fn chunk(&self, connection: &mut Connection, chunk: &proto::Chunk) -> Result<(), String> {
        self.counters.received_bytes.fetch_add(chunk.data.len() as u64, Ordering::Relaxed);
        // Chunks of a contribution that was refused are let pass.
        let Some(contribution) = connection.open else { return Ok(()) };
        let generation = self.shard().snapshot().generation;
        let incarnation = contribution.incarnation;
        self.heard(connection.replica, Ticket { generation, incarnation });
        let received = self.shard().receive(contribution, chunk.section as usize, &chunk.data);
        match received {
            Ok(true) => self.staged(connection),
            Ok(false) => {}
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

    fn staged(&self, connection: &mut Connection) {
        let Some(contribution) = connection.open.take() else { return };
        // With one server the commit is on its way already.
        if self.settings.placement.shards() > 1 {
            let staged = proto::Staged { sequence: contribution.sequence };
            self.posts().send(connection.replica, vec![Answer::Staged(staged)]);
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
                // Its own part may have been refused; whoever sent that knows.
                if self.shard().is_staged(contribution) {
                    coordinator.commit(replica, &commit, now, &mut actions);
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
                coordinator.alive(replica, wire::ticket(alive.ticket).map_err(words)?, now);
            }
            Message::Leave(leave) => {
                let ticket = wire::ticket(leave.ticket).map_err(words)?;
                let failure = (!leave.reason.is_empty()).then_some(leave.reason);
                coordinator.leave(replica, ticket, failure, now, &mut actions);
            }
            _ => return Err("a message that a replica does not send".to_owned()),
        }
        self.act(&mut hub, actions);
        Ok(())
    }
}
