//! The leader: carries out, over all parameter servers, what its coordinator decides.
//!
//! Plain state under one lock, `SharedLeader`'s, which is held while orders go out, so that every
//! server gets them in one order. Messages are handed over without waiting; what takes time is left
//! as a [`Job`]. Lock order: the leader's, the shard's, the connections'.

mod checkpoints;
pub(super) mod ending;
mod history;
pub(super) mod initial_values;
mod joining;
pub(super) mod link_keeper;
pub(super) mod recovery;
mod requests;
mod saving;
pub(super) mod server_handle;
pub(super) mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sync_replicas::driver::Generation;
use sync_replicas::engine::StopReason;
use sync_replicas::record::{Cursor, UpdateMade, UpdateSpan};
use sync_replicas::{ReplicaId, Scalar};
use tokio::time::Instant;

use super::bad_message::BadMessage;
use super::command_error::CommandError;
use super::link::Link;
use super::parameter_server::{ParameterServer, Updated};
use super::settings::ServerSettings;
use crate::coordinator::{Coordinator, ShardCommand, StepMade, Ticket};
use crate::index::ServerIndex;
use crate::proto::to_replica::Message;
use crate::proto::{self, Ended, ToReplica, to_server};
use crate::wire::{self, Recorded};
use history::History;
use initial_values::InitialValues;
use saving::Saving;
use server_handle::{OrderReply, ServerHandle};
use shared::Job;

/// What carries the coordinator's decisions out, in parameter server 0.
pub(super) struct Leader<T: Scalar> {
    settings: Arc<ServerSettings>,
    origin: Instant,
    /// The leader's own parameter server, over whose connections replicas ask it.
    own: Arc<ParameterServer<T>>,
    /// By index.
    pub(super) servers: Arc<[ServerHandle<T>]>,
    pub(super) coordinator: Coordinator,
    pub(super) phase: Phase,
    pub(super) history: History,
    /// Requests that came while it was not serving: done as soon as it is.
    deferred: Deferred,
    pub(super) saving: Saving<T>,
    /// Training ended; this is told once everything is saved.
    pub(super) ending: Option<Ended>,
    /// The replicas that have heard of it.
    heard: BTreeSet<ReplicaId>,
    /// Another process has gone on from its checkpoints; how that showed.
    pub(super) replaced: Option<String>,
    /// The servers that do not accept this coordinator, and why.
    pub(super) refusals: BTreeMap<ServerIndex, String>,
    /// Where the servers have no program of their own.
    pub(super) initial_values: Option<InitialValues<T>>,
    jobs: Vec<Job<T>>,
}

/// How far the shared state is (P-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Some server has not got its state, or has lost it: a new generation is needed.
    Lost,
    /// That generation begins; or none will, since training is over.
    Recovering,
    /// All shards are in the coordinator's generation.
    Serving,
}

/// Requests that came while no generation was served.
#[derive(Debug, Default)]
struct Deferred {
    stop: Option<StopReason>,
    save: bool,
}

/// By replica.
type Messages = BTreeMap<ReplicaId, Vec<ToReplica>>;

impl<T: Scalar> Leader<T> {
    fn new(settings: Arc<ServerSettings>, own: Arc<ParameterServer<T>>, secret: u64) -> Self {
        let others =
            (1..settings.placement.shards()).map(|_| ServerHandle::Linked(Link::default()));
        Self {
            origin: Instant::now(),
            servers: [ServerHandle::Local(Arc::clone(&own))].into_iter().chain(others).collect(),
            own,
            coordinator: settings.coordinator(secret),
            phase: Phase::Lost,
            history: History::default(),
            deferred: Deferred::default(),
            saving: Saving::new(settings.run, secret),
            ending: None,
            heard: BTreeSet::new(),
            replaced: None,
            refusals: BTreeMap::new(),
            initial_values: settings
                .values_from_chief
                .then(|| InitialValues::new(Arc::clone(&settings.placement))),
            jobs: Vec::new(),
            settings,
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        self.phase == Phase::Serving
    }

    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The newest generation of this process, which claims one before it begins it: the holder of a
    /// later one must know (P-26).
    pub(super) fn newest_generation(&self) -> Generation {
        self.coordinator.generation().max(self.saving.claimed.unwrap_or_default())
    }

    /// The coordinator, with the present time.
    fn coordinator(&mut self) -> &mut Coordinator {
        let now = self.now();
        self.coordinator.at(now)
    }

    /// Carries out a replica's request to the coordinator.
    pub(super) fn request(
        &mut self,
        replica: ReplicaId,
        message: to_server::Message,
    ) -> Result<(), BadMessage> {
        if !self.is_serving() && !matches!(message, to_server::Message::Leave(_)) {
            // Of a life that is given up; it is asked again in the next.
            return Ok(());
        }
        let now = self.now();
        requests::ask(self.coordinator.at(now), &self.own, replica, message)?;
        self.act();
        Ok(())
    }

    /// The chief sends a piece of the variables' initial values.
    pub(super) fn take_initial_values(
        &mut self,
        connection: u64,
        piece: proto::InitialValues,
    ) -> Result<(), BadMessage> {
        let values = self.initial_values.as_mut().ok_or(BadMessage::NotAsked)?;
        values.take(connection, piece)
    }

    pub(super) fn waits_for_values(&self) -> bool {
        self.initial_values.as_ref().is_some_and(InitialValues::are_wanted)
    }

    /// A replica sends data, which is a sign of life.
    pub(super) fn is_alive(&mut self, replica: ReplicaId, ticket: Ticket) {
        self.coordinator().alive(replica, ticket);
        // A replica that is no longer a member is told so when it commits.
        drop(self.coordinator.take_actions());
    }

    /// Carries out the coordinator's actions: commands to all shards in their order, then answers
    /// to replicas.
    pub(super) fn act(&mut self) {
        let mut messages = Messages::new();
        loop {
            let actions = self.coordinator.take_actions();
            if actions.is_empty() {
                break;
            }
            for command in &actions.commands {
                self.command(command);
            }
            for (replica, ticket, answer) in actions.answers {
                let message = wire::to_replica(Some(ticket), wire::answer(answer));
                messages.entry(replica).or_default().push(message);
            }
            if let Some(record) = &self.settings.record {
                record.add_spans(actions.spans);
                actions.failures.into_iter().for_each(|failure| record.add_failure(failure));
            }
            for made in actions.made {
                self.step_made(made, &actions.in_vain, &mut messages);
            }
            match actions.ended {
                None => {}
                Some(reason @ StopReason::Requested(_)) if !self.is_serving() => {
                    self.deferred.stop.get_or_insert(reason);
                }
                Some(reason) => self.end(reason),
            }
        }
        let mut connections = self.own.connections();
        for (replica, messages) in messages {
            connections.send(replica, messages);
            crash_point!("coordinator/between-tokens");
        }
        drop(connections);
        // After the last step, which a replica must know of to fetch its variables.
        self.finish_if_saved();
    }

    fn command(&mut self, command: &ShardCommand) {
        self.saving.updates += u64::from(matches!(command, ShardCommand::Apply { .. }));
        // This process's own last: the others are at work meanwhile.
        let servers = Arc::clone(&self.servers);
        for server in servers.iter().skip(1).chain(servers.first()) {
            match server.carry_out(command) {
                OrderReply::Now(Ok(Some(it))) => {
                    self.note_update(ServerIndex::LEADER, it.took);
                    self.coordinator().applied(it.variable);
                }
                OrderReply::Now(Err(error)) => self.fail(error),
                OrderReply::Now(Ok(None)) | OrderReply::Later(_) => {}
            }
        }
    }

    fn step_made(&mut self, made: StepMade, in_vain: &[ReplicaId], messages: &mut Messages) {
        crash_point!("coordinator/step-made");
        let at = self.now();
        let StepMade { global_step, loss, examples, .. } = made;
        self.history.made(at, global_step);
        let step = global_step.get();
        if let Some(record) = &self.settings.record {
            record.add_update(UpdateMade { step, loss, examples, at });
        }
        let connections = self.own.connections();
        let told: BTreeSet<_> = connections.followers().chain(in_vain.iter().copied()).collect();
        drop(connections);
        for replica in told {
            let message = wire::to_replica(None, Message::Advanced(made.into()));
            messages.entry(replica).or_default().push(message);
        }
        if let Some(checkpoints) = &self.settings.duties.checkpoints
            && step.unsigned_abs().is_multiple_of(checkpoints.steps.max(1))
        {
            self.save_if_new();
        }
    }

    /// A server's part of the update under way has just been done, and took so long there: no two
    /// clocks are compared.
    fn note_update(&self, server: ServerIndex, took: Duration) {
        let Some(record) = &self.settings.record else { return };
        let (end, step) = (self.now(), self.coordinator.global_step().get() + 1);
        let (server, start) = (server.get() as u64, end.saturating_sub(took));
        record.add_update_span(UpdateSpan { server, step, start, end });
    }

    /// Another server has done its part of an update, which took so long there.
    pub(super) fn applied(&mut self, server: ServerIndex, updated: Updated) {
        let Updated { variable, took } = updated;
        // Otherwise it is one of a life that is given up.
        if self.is_serving() {
            crash_point!("coordinator/before-step");
            self.note_update(server, took);
            self.coordinator().applied(variable);
            self.act();
        }
    }

    /// Another server could not carry out an order.
    pub(super) fn order_failed(&mut self, server: ServerIndex, order: u64, error: CommandError) {
        if self.saving.lose(server, order) {
            let server = server.get();
            tracing::error!(server, "a server's state cannot be had; no checkpoint is written");
        }
        // Otherwise it is one of a life that is given up.
        if self.is_serving() {
            self.fail(error);
            self.act();
        }
    }

    fn fail(&mut self, error: CommandError) {
        match error {
            CommandError::NotFinite(reason) => self.coordinator().not_finite(reason),
            error => self.coordinator().stop(StopReason::Failed(error.to_string())),
        }
    }

    /// A server has lost its state: what is under way is lost, and requests wait.
    pub(super) fn give_up_generation(&mut self) {
        self.phase = Phase::Lost;
    }

    /// The training as the coordinator has seen it, for a reader at this position.
    pub(super) fn recorded(&self, cursor: Cursor) -> Recorded {
        let record = self.settings.record.as_ref();
        self.history.recorded(&self.coordinator, record, cursor, self.now())
    }

    /// Time has passed; when to call again, at the latest (P-5).
    pub(super) fn tick(&mut self) -> Option<Duration> {
        let next = if self.is_serving() { self.coordinator().tick() } else { None };
        self.act();
        next
    }
}
