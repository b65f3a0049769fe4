//! The leader: the coordinator, and the parameter servers that carry out what it decides.
//!
//! Plain state under one lock, `SharedLeader`'s, which is held while orders go out, so that every
//! server gets them in one order. Messages are handed over and not waited for; what takes time is
//! left as a [`Task`]. Lock order: the leader's, the shard's, the connections'.

pub(super) mod ending;
mod history;
pub(super) mod initial_values;
mod joining;
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
use sync_replicas::record::{FailedSave, UpdateMade};
use sync_replicas::{GlobalStep, ReplicaId, Scalar};
use tokio::time::Instant;

use super::bad_message::BadMessage;
use super::command_error::CommandError;
use super::link::orders::Link;
use super::parameter_server::{ParameterServer, Release};
use super::settings::ServerSettings;
use crate::coordinator::{Coordinator, ShardCommand, StepMade, Ticket};
use crate::index::ServerIndex;
use crate::proto::to_replica::Message;
use crate::proto::{self, Ended, SaveFailed, ToReplica, to_server};
use crate::shard::ShardState;
use crate::wire::{self, Recorded};
use history::History;
use initial_values::InitialValues;
use saving::{NotSaved, Saving};
use server_handle::{Reply, ServerHandle};
use shared::Task;

/// The coordinator and all parameter servers.
pub(super) struct Leader<T: Scalar> {
    settings: Arc<ServerSettings>,
    origin: Instant,
    /// That of its own process, whose connections replicas ask it over.
    own: Arc<ParameterServer<T>>,
    /// By index.
    pub(super) servers: Arc<[ServerHandle<T>]>,
    pub(super) coordinator: Coordinator,
    /// Whether all shards are in the coordinator's generation.
    pub(super) serving: bool,
    /// When that came about.
    began: Option<Duration>,
    /// A new generation is needed.
    pub(super) stale: bool,
    pub(super) history: History,
    /// What was wished for while it was not serving: done as soon as it is.
    deferred: Deferred,
    pub(super) saving: Saving<T>,
    /// Training ended; this is told once everything is saved.
    pub(super) ending: Option<Ended>,
    /// The replicas that have heard of it.
    heard: BTreeSet<ReplicaId>,
    /// Another process has gone on from its checkpoints; how that showed.
    pub(super) replaced: Option<String>,
    /// The servers that do not take this coordinator, and why.
    pub(super) refusals: BTreeMap<ServerIndex, String>,
    /// Where the servers have no program of their own.
    pub(super) initial_values: Option<InitialValues<T>>,
    tasks: Vec<Task<T>>,
}

/// Requests that came while no generation was served.
#[derive(Debug, Default)]
struct Deferred {
    stop: Option<StopReason>,
    save: bool,
}

/// By replica.
type Messages = BTreeMap<ReplicaId, Vec<ToReplica>>;

impl<T: Scalar + bytemuck::Pod> Leader<T> {
    fn new(settings: Arc<ServerSettings>, own: Arc<ParameterServer<T>>, secret: u64) -> Self {
        let others =
            (1..settings.placement.shards()).map(|_| ServerHandle::Linked(Link::default()));
        Self {
            origin: Instant::now(),
            servers: [ServerHandle::Local(Arc::clone(&own))].into_iter().chain(others).collect(),
            own,
            coordinator: settings.coordinator(secret),
            serving: false,
            began: None,
            stale: true,
            history: History::default(),
            deferred: Deferred::default(),
            saving: Saving::new(settings.run),
            ending: None,
            heard: BTreeSet::new(),
            replaced: None,
            refusals: BTreeMap::new(),
            initial_values: settings
                .values_from_chief
                .then(|| InitialValues::new(Arc::clone(&settings.placement))),
            tasks: Vec::new(),
            settings,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The newest generation that is this process's: it has claimed one before it begins it, and
    /// whoever has a later one must know (P-26).
    pub(super) fn newest_generation(&self) -> Generation {
        self.coordinator.generation().max(self.saving.claimed.unwrap_or_default())
    }

    /// The coordinator, which is told the time.
    fn coordinator(&mut self) -> &mut Coordinator {
        let now = self.now();
        self.coordinator.at(now)
    }

    /// Does what a replica asks of the coordinator.
    pub(super) fn request(
        &mut self,
        replica: ReplicaId,
        message: to_server::Message,
    ) -> Result<(), BadMessage> {
        if !self.serving && !matches!(message, to_server::Message::Leave(_)) {
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
        // Whoever is no member any more is told so when it commits.
        drop(self.coordinator.take_actions());
    }

    /// Does what the coordinator says: commands to all shards in their order, then what replicas
    /// are told.
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
            }
            for made in actions.made {
                self.step_made(made, &actions.in_vain, &mut messages);
            }
            match actions.ended {
                None => {}
                Some(reason @ StopReason::Requested(_)) if !self.serving => {
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
                Reply::Now(Ok(Some(it))) => self.coordinator().applied(it.variable),
                Reply::Now(Err(error)) => self.fail(error),
                Reply::Now(Ok(None)) | Reply::Later(_) => {}
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
        if let Some(checkpoints) = &self.settings.checkpoints
            && step.unsigned_abs().is_multiple_of(checkpoints.steps.max(1))
        {
            self.save_if_new();
        }
    }

    /// Another server has done its part of an update.
    pub(super) fn applied(&mut self, variable: Option<usize>) {
        // Otherwise it is one of a life that is given up.
        if self.serving {
            crash_point!("coordinator/before-step");
            self.coordinator().applied(variable);
            self.act();
        }
    }

    /// Another server could not do as it was told.
    pub(super) fn order_failed(&mut self, server: ServerIndex, order: u64, error: CommandError) {
        if self.saving.lose(server, order) {
            let server = server.get();
            tracing::error!(server, "a server's state cannot be had; no checkpoint is written");
        }
        // Otherwise it is one of a life that is given up.
        if self.serving {
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

    /// A server has lost its state: what is under way is in vain, and requests wait.
    pub(super) fn give_up_generation(&mut self) {
        (self.serving, self.stale) = (false, true);
    }

    /// The training as the coordinator saw it.
    pub(super) fn recorded(&self) -> Recorded {
        self.history.recorded(&self.coordinator, self.settings.record.as_ref(), self.now())
    }

    /// Time has passed; when to call again, at the latest (P-5).
    pub(super) fn tick(&mut self) -> Option<Duration> {
        let next = if self.serving { self.coordinator().tick() } else { None };
        self.act();
        next
    }

    /// A checkpoint is asked for: of now, or of when the servers are ready.
    pub(super) fn wish_to_save(&mut self) {
        if !self.serving {
            self.deferred.save = true;
        } else if !self.own.is_over() {
            self.begin_save();
        }
    }

    /// Has every server send its state as of now, unless that is saved or being saved.
    fn save_if_new(&mut self) {
        if self.saving.is_wanted() {
            self.begin_save();
        }
    }

    /// Has every server send its state as of now.
    pub(super) fn begin_save(&mut self) {
        if self.settings.checkpoints.is_some() {
            self.saving.begin(&self.servers, &self.coordinator);
            self.write_if_gathered();
        }
    }

    fn write_if_gathered(&mut self) {
        self.tasks.extend(self.saving.take_gathered().map(Task::Write));
    }

    /// Another server has sent its state, as an order of this number said.
    pub(super) fn state_came(&mut self, server: ServerIndex, order: u64, state: ShardState<T>) {
        self.saving.came(server, order, state);
        self.write_if_gathered();
    }

    /// The state that an order of this number asked for was lost on its way: all are gathered
    /// anew, as of now.
    pub(super) fn save_again(&mut self, server: ServerIndex, order: u64) {
        if self.saving.lose(server, order) {
            self.begin_save();
        }
    }

    /// A checkpoint was written, or failed.
    fn written(&mut self, written: Result<(), NotSaved>) {
        // A generation begins once this is done, so it is the one that was taken.
        let Some(gathering) = self.saving.under_way.take() else { return };
        let mut again = gathering.again && self.serving;
        let mut later = false;
        match &written {
            Ok(()) => self.saving.succeeded(&gathering),
            Err(error) => {
                self.note_failed(gathering.global_step, error);
                if !again && self.ending.is_some() {
                    let pause =
                        self.saving.try_later(error, self.now(), self.settings.reconnect_timeout);
                    self.tasks.extend(pause.map(Task::SaveLater));
                    later = pause.is_some();
                }
                if let Some(ending) = self.ending.as_mut().filter(|_| !again && !later) {
                    // What was trained is lost with the servers.
                    ending.failed = true;
                    ending.reason =
                        format!("{}, but no last checkpoint was written: {error}", ending.reason);
                }
            }
        }
        let leave = match &written {
            // Whoever waits to leave ends with the training.
            _ if self.ending.is_some() => Vec::new(),
            Ok(()) => self.coordinator.saved(gathering.updates),
            Err(_) if again || later => Vec::new(),
            Err(_) => self.coordinator.nothing_is_saved(),
        };
        // Servers that leave take their state with them: nothing more can be saved.
        again &= leave.is_empty();
        let release =
            written.map_or_else(|it| Release::Unsaved(it.to_string()), |()| Release::Saved);
        self.release(leave, &release);
        if again {
            self.begin_save();
        }
        self.finish_if_saved();
    }

    /// Tells of a checkpoint that was not written, wherever somebody looks.
    fn note_failed(&mut self, step: GlobalStep, error: &NotSaved) {
        let (reason, step) = (error.to_string(), step.get());
        tracing::error!(reason, step, "no checkpoint was written");
        let told = SaveFailed { step, reason: reason.clone() };
        self.own.connections().send_to_all(&Message::SaveFailed(told));
        if let Some(record) = &self.settings.record {
            record.add_failed_save(FailedSave { step, reason: reason.clone() });
        }
        if error.is_replaced() {
            self.was_replaced(reason.clone());
        }
        self.saving.failed(reason);
    }
}
