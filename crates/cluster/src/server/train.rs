//! One replica's connection: its messages in order, each answered through its post.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sync_replicas::engine::JoinError;
use sync_replicas::{Generation, GlobalStep, ReplicaId, Scalar};
use tonic::Status;

use super::node::{Node, lock};
use super::posts::Wanted;
use crate::batches::{Batches, batches};
use crate::coordinator::{Commit, Contribution, Refusal, Ticket};
use crate::proto::to_replica::Message as Answer;
use crate::proto::to_server::Message;
use crate::proto::{self, ToReplica, ToServer};
use crate::shard::Open;
use crate::stream::Receiving;
use crate::wire;

/// Who is at the other end, and what it is sending.
pub(super) struct Connection<T> {
    pub(super) replica: ReplicaId,
    pub(super) number: u64,
    /// The contribution whose chunks come, and whose it is.
    pub(super) open: Option<(Open<T>, Ticket)>,
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
                self.posts().answer(replica, hello.connection, (None, refused));
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
            let over = self.over.borrow().clone();
            if let Some(ended) = over {
                self.posts().answer(replica, hello.connection, (None, Answer::Ended(ended)));
                return Ok(());
            }
            let snapshot = self.shard().snapshot();
            let welcome = proto::Welcome {
                generation: snapshot.generation.get(),
                global_step: snapshot.global_step.get(),
                ticket: None,
                in_turn,
            };
            self.posts().answer(replica, hello.connection, (None, Answer::Welcome(welcome)));
            return Ok(());
        };
        let mut hub = lock(hub);
        if let Some(ended) = hub.ending.clone() {
            if self.is_over() {
                // It comes too late, which is no fault of its own (P-1).
                self.posts().answer(replica, hello.connection, (None, Answer::Ended(ended)));
            }
            // Otherwise it hears of the end with the others.
            return Ok(());
        }
        if !self.posts().is_open(replica, hello.connection) {
            // It has connected anew while this one waited for the coordinator.
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
        self.posts().answer(replica, hello.connection, (None, Answer::Welcome(welcome)));
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
                Ok(None) => {
                    self.has_heard(connection.replica);
                    break;
                }
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
                let (snapshot, whole) = {
                    let shard = self.shard();
                    (shard.snapshot(), shard.is_whole())
                };
                if !whole {
                    // There is nothing to be read any more, and soon the end is told (P-25).
                    return Ok(());
                }
                let wanted = Wanted { after, full: pull.full };
                let sent = self.posts().pull(replica, wanted, &snapshot);
                self.counters.snapshots.fetch_add(sent, Ordering::Relaxed);
                Ok(())
            }
            Message::Begin(begin) => self.begin(connection, begin).await,
            Message::Chunk(chunk) => self.chunk(connection, &chunk),
            Message::Hello(_) => Err("a second hello on one connection".to_owned()),
            Message::Recall(_) => self.recall(connection),
            message => self.for_coordinator(replica, message),
        }
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
        if !hub.serving && !matches!(message, Message::Leave(_)) {
            // Of a life that is given up; it is asked again in the next.
            return Ok(());
        }
        let (now, mut actions) = (self.now(), crate::coordinator::Actions::default());
        let coordinator = &mut hub.coordinator;
        match message {
            Message::Commit(commit) => {
                let mut commit = wire::commit(commit).map_err(words)?;
                match self.add_own_receipt(replica, &mut commit) {
                    Ok(()) => coordinator.commit(replica, &commit, now, &mut actions),
                    Err(reason) => {
                        let (sequence, rejoin) = (commit.sequence, false);
                        let refusal = Refusal { sequence, reason, rejoin };
                        coordinator.refuse_commit(replica, &commit, refusal, &mut actions);
                    }
                }
                crash_point!("coordinator/commit-decided");
            }
            Message::Ask(ask) => {
                let ticket = wire::ticket(ask.ticket).map_err(words)?;
                coordinator.ask(replica, ticket, ask.sequence, now, &mut actions);
            }
            Message::GiveUp(it) => {
                let ticket = wire::ticket(it.ticket).map_err(words)?;
                let work = (it.sequence, wire::given_up(&it), wire::times(it.times));
                coordinator.give_up(replica, ticket, work, now, &mut actions);
            }
            Message::Alive(alive) => {
                let ticket = wire::ticket(alive.ticket).map_err(words)?;
                coordinator.alive(replica, ticket, now, &mut actions);
            }
            Message::Leave(leave) => {
                let ticket = wire::ticket(leave.ticket).map_err(words)?;
                let failure = (!leave.reason.is_empty()).then(|| wire::reason(leave.reason));
                if leave.for_now {
                    coordinator.leave_for_now(replica, ticket, now, &mut actions);
                } else {
                    coordinator.leave(replica, ticket, failure, now, &mut actions);
                }
            }
            _ => return Err("a message that a replica does not send".to_owned()),
        }
        self.act(&mut hub, actions);
        Ok(())
    }

    /// Tells what was recorded of the training.
    fn recall(&self, connection: &Connection<T>) -> Result<(), String> {
        let Some(recorded) = self.recorded() else {
            return Err("a question for the coordinator, which is ps 0".to_owned());
        };
        let answer = (None, Answer::Recorded(recorded.into()));
        self.posts().answer(connection.replica, connection.number, answer);
        Ok(())
    }

    /// Adds this server's own receipt to those of the others, if it holds the contribution.
    ///
    /// # Errors
    /// The commit names other variables than came, which the words say.
    fn add_own_receipt(&self, replica: ReplicaId, commit: &mut Commit) -> Result<(), String> {
        let Ticket { generation, incarnation } = commit.ticket;
        let contribution = Contribution { replica, incarnation, sequence: commit.sequence };
        let held = self.shard().vet(contribution, &commit.variables)?;
        if held {
            commit.receipts ^= self.receipt(generation, contribution);
        }
        Ok(())
    }
}
