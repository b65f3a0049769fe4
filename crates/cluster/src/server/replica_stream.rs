//! One replica's connection: its messages in order, each answered over the same connection.

use std::sync::Arc;

use sync_replicas::driver::{Generation, ServerDuties};
use sync_replicas::engine::JoinError;
use sync_replicas::record::Cursor;
use sync_replicas::{GlobalStep, ReplicaId, Scalar};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::bad_message::BadMessage;
use super::handshake;
use super::leader::shared::SharedLeader;
use super::parameter_server::intake::{BEAT, Intake};
use super::parameter_server::{ParameterServer, WantedSnapshot};
use super::process::Server;
use crate::batches::{BatchSender, Batches, batches};
use crate::coordinator::{Refusal, Ticket};
use crate::index::ServerIndex;
use crate::proto::to_replica::Message as Answer;
use crate::proto::to_server::Message;
use crate::proto::{self, ToReplica, ToServer};
use crate::stream::Receiving;
use crate::wire::{self, WireError};

/// The process at the other end, and this one's receiver.
struct ReplicaStream<T: Scalar> {
    own: Arc<ParameterServer<T>>,
    /// The coordinator, if it is in this process.
    leader: Option<Arc<SharedLeader<T>>>,
    replica: ReplicaId,
    /// Its number at this server.
    connection: u64,
    contributions: Intake<T>,
    has_recalled: bool,
}

/// Takes a connection: the hello first, then the rest in its own task.
pub(super) async fn train<T: Scalar>(
    server: Arc<Server<T>>,
    mut incoming: Receiving<ToServer>,
) -> Result<Batches<ToReplica>, Status> {
    let own = Arc::clone(&server.own);
    let hello = handshake::hello(&mut incoming, &own.counters, |first: ToServer| {
        if let Some(Message::Hello(hello)) = first.message { Some(hello) } else { None }
    });
    let hello = hello.await?;
    let replica = check(&server, &hello)?;
    let (sender, outgoing) = batches();
    let leader = server.leader().cloned();
    let connection = open(&own, leader.as_ref(), replica, &hello, sender)?;
    let told = leader.clone();
    // While the leader is at work this does not wait to say so; the next piece will.
    let alive = move |ticket| {
        told.iter().for_each(|it| it.try_with(|leader| leader.is_alive(replica, ticket)));
    };
    let contributions = Intake::new(Arc::clone(&own), replica, connection, Box::new(alive));
    let stream =
        ReplicaStream { own, leader, replica, connection, contributions, has_recalled: false };
    match stream.welcome(&hello) {
        Ok(()) => drop(tokio::spawn(stream.read(incoming))),
        Err(refusal) => {
            stream.answer(None, Answer::Refused(refusal.into()));
            stream.own.connections().close(replica, connection);
        }
    }
    Ok(outgoing)
}

/// Opens the connection, if this process may have the place of its replica; its number.
fn open<T: Scalar>(
    own: &ParameterServer<T>,
    leader: Option<&Arc<SharedLeader<T>>>,
    replica: ReplicaId,
    hello: &proto::Hello,
    sender: BatchSender<ToReplica>,
) -> Result<u64, Status> {
    let caller = wire::caller(hello);
    let opened = match leader {
        Some(leader) => leader.with(|leader| leader.open(replica, caller, hello.follows, sender)),
        None => {
            let generation = own.shard().snapshot().generation;
            let generation = (!own.is_over()).then_some(generation);
            let mut connections = own.connections();
            let may = caller.takes_place(replica, connections.caller(replica), generation);
            may.map(|()| connections.open(replica, caller, hello.follows, sender))
        }
    };
    opened.map_err(|reason| {
        tracing::warn!(%replica, %reason, "a process was not let in");
        wire::not_admitted(&reason)
    })
}

/// The update to end after, in words.
fn step_words(last: Option<i64>) -> String {
    last.map_or_else(|| "no update".to_owned(), |step| format!("update {step}"))
}

/// Whether this is a replica of the same program.
fn check<T: Scalar>(server: &Server<T>, hello: &proto::Hello) -> Result<ReplicaId, Status> {
    let settings = &server.settings;
    if let Some(difference) = settings.agreement.difference(&hello.agreement) {
        return Err(Status::failed_precondition(format!(
            "this replica runs another program than parameter server {}: {difference}; start all \
             processes with the same",
            settings.index.get(),
        )));
    }
    if settings.values_from_chief && settings.index == ServerIndex::LEADER {
        // No program of this server's says when to end.
        let ServerDuties { last_step, nan_guard, .. } = settings.duties;
        if (last_step, nan_guard) != (hello.last_step, hello.nan_guard) {
            return Err(Status::failed_precondition(format!(
                "this replica's program ends training after {} (also where the loss is NaN: {}), \
                 that of an earlier one after {} (where it is NaN: {nan_guard}); give all workers \
                 the same hooks",
                step_words(hello.last_step),
                hello.nan_guard,
                step_words(last_step),
            )));
        }
    }
    let theirs = wire::run(&hello.run).map_err(|error| {
        server.own.counters.nonsense("a caller", &error.to_string());
        Status::invalid_argument(error.to_string())
    })?;
    if let (Some(theirs), Some(run)) = (theirs, server.own.run())
        && theirs != run
    {
        return Err(Status::failed_precondition(format!(
            "this replica has trained in run {theirs}, and parameter server {} serves run {run}; \
             start it anew to train in that one",
            settings.index.get(),
        )));
    }
    let (replica, total) = (ReplicaId::new(hello.replica), settings.config.total_num_replicas());
    if hello.replica >= total as u64 {
        let unknown = JoinError::Unknown { replica, total };
        return Err(Status::failed_precondition(unknown.to_string()));
    }
    Ok(replica)
}

impl<T: Scalar> ReplicaStream<T> {
    fn welcome(&self, hello: &proto::Hello) -> Result<(), Refusal> {
        if let Some(leader) = &self.leader {
            let (replica, connection) = (self.replica, self.connection);
            return leader.with(|leader| leader.welcome(replica, connection, hello));
        }
        let over = self.own.over.borrow().clone();
        let answer = over.map_or_else(
            || {
                let snapshot = self.own.shard().snapshot();
                Answer::Welcome(proto::Welcome {
                    generation: snapshot.generation.get(),
                    global_step: snapshot.global_step.get(),
                    ticket: None,
                    bounded: self.own.bounded,
                    run: wire::run_words(self.own.run()),
                })
            },
            Answer::Ended,
        );
        self.answer(None, answer);
        Ok(())
    }

    async fn read(mut self, mut incoming: Receiving<ToServer>) {
        loop {
            match incoming.message().await {
                Ok(Some(ToServer { message })) => {
                    if !self.own.connections().is_open(self.replica, self.connection) {
                        break;
                    }
                    let Some(message) = message else {
                        self.refuse_unknown();
                        break;
                    };
                    if let Err(error) = self.take(message).await {
                        let (from, reason) = (self.replica.to_string(), error.to_string());
                        self.own.counters.nonsense(&from, &reason);
                        break;
                    }
                }
                Ok(None) => {
                    if let Some(leader) = &self.leader {
                        leader.with(|leader| leader.has_heard(self.replica));
                    }
                    break;
                }
                Err(status) => {
                    self.own.counters.broke(&self.replica.to_string(), &status);
                    break;
                }
            }
        }
        // Its lease goes on: it may come back in time (P-5).
        self.own.connections().close(self.replica, self.connection);
    }

    /// Ignoring it would leave the replica waiting for an answer.
    fn refuse_unknown(&self) {
        let reason = WireError::unknown().to_string();
        self.own.counters.nonsense(&self.replica.to_string(), &reason);
        let refusal = Refusal { sequence: 0, reason, rejoin: false };
        self.answer(None, Answer::Refused(refusal.into()));
    }

    /// An error closes the connection: the message is invalid.
    async fn take(&mut self, message: Message) -> Result<(), BadMessage> {
        match message {
            Message::Pull(pull) => {
                self.pull(pull).await;
                Ok(())
            }
            Message::Lookup(lookup) => self.look_up(&lookup).await,
            Message::Begin(begin) => self.contributions.begin(begin).await,
            Message::Chunk(chunk) => {
                self.contributions.chunk(&chunk);
                Ok(())
            }
            Message::Hello(_) => Err(BadMessage::SecondHello),
            Message::InitialValues(piece) => {
                let leader = self.leader("value")?;
                leader.with(|leader| leader.take_initial_values(self.connection, piece))
            }
            Message::Recall(_) => {
                // It is large, so one is on its way (P-27).
                if std::mem::replace(&mut self.has_recalled, true) {
                    return Err(BadMessage::SecondRecall);
                }
                let leader = self.leader("question")?;
                let recorded = leader.with(|leader| leader.recorded(Cursor::default()));
                self.answer(None, Answer::Recorded(recorded.into()));
                Ok(())
            }
            message => {
                let leader = self.leader("message")?;
                leader.with(|leader| leader.request(self.replica, message))
            }
        }
    }

    /// Waits until the last snapshot that the replica asked for is fully on its way.
    async fn pull(&self, pull: proto::Pull) {
        let after = (Generation::new(pull.generation), GlobalStep::new(pull.after));
        let room = self.own.connections().room(self.replica, self.connection);
        if let Some(place) = self.place_in(room).await {
            self.own.pull(self.replica, WantedSnapshot { after, full: pull.full, place });
        }
    }

    /// Waits until the rows of the last lookup are fully on their way.
    async fn look_up(&self, lookup: &proto::Lookup) -> Result<(), BadMessage> {
        let room = self.own.connections().lookup_room(self.replica, self.connection);
        let Some(place) = self.place_in(room).await else { return Ok(()) };
        let rows = self.own.look_up(lookup, place)?;
        self.own.connections().send_made(self.replica, self.connection, rows);
        Ok(())
    }

    /// A place, as long as the other end reads over this connection.
    async fn place_in(&self, room: Option<Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
        let place = room?.acquire_owned();
        tokio::pin!(place);
        loop {
            match tokio::time::timeout(BEAT, &mut place).await {
                // It may have been given up for a later connection, which asks for itself.
                Ok(Ok(_)) if !self.own.connections().is_open(self.replica, self.connection) => {
                    return None;
                }
                // Never closed.
                Ok(place) => return place.ok(),
                // It reads nothing, so its lease may end; a later connection ends this one.
                Err(_) if self.own.connections().is_live(self.replica, self.connection) => {}
                Err(_) => return None,
            }
        }
    }

    fn leader(&self, what: &'static str) -> Result<&Arc<SharedLeader<T>>, BadMessage> {
        self.leader.as_ref().ok_or(BadMessage::NotHere { what })
    }

    fn answer(&self, ticket: Option<Ticket>, answer: Answer) {
        self.own.connections().answer(self.replica, self.connection, ticket, answer);
    }
}
