//! A parameter server: its shard, its connected replicas, and room for what they send.
//!
//! It is told what counts, when to make an update and when training is over, and decides none of
//! it; it does not know whether the leader is in its own process or another. Lock order: the
//! shard's, then the connections'.

mod connections;
pub(super) mod intake;
mod lookups;
mod staging_room;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sync_replicas::checkpoint::{self, RunId, SavedTable, TableShare};
use sync_replicas::driver::Generation;
use sync_replicas::store::{TableSaves, Tables};
use sync_replicas::{GlobalStep, ReplicaId, Scalar};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::command_error::{CommandError, OtherRun};
use super::counters::Counters;
use super::settings::ServerSettings;
use super::transfer::Layout;
use super::usage::Usage;
use crate::blocking::blocking;
use crate::coordinator::{self, Contribution, ShardCommand};
use crate::crash::write_rows;
use crate::index::{ServerIndex, VariableIndex};
use crate::number_format::NumberFormat;
use crate::placement::Placement;
use crate::proto::Ended;
use crate::proto::to_replica::Message;
use crate::shard::{Shard, ShardState};
use crate::sync::lock;

use connections::ReplicaConnections;
use staging_room::StagingRoom;

pub(super) use connections::WantedSnapshot;

/// A server's part of an update was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Updated {
    /// The variable, where each is admitted by itself.
    pub(super) variable: Option<VariableIndex>,
    /// How long it took.
    pub(super) took: Duration,
}

/// A shard and all that is needed to serve it.
pub(super) struct ParameterServer<T: Scalar> {
    pub(super) index: ServerIndex,
    pub(super) placement: Arc<Placement>,
    /// The secret of the receipts, which no replica knows.
    secret: AtomicU64,
    /// The run that it serves, since its first generation.
    run: Mutex<Option<RunId>>,
    shard: Mutex<Shard<T>>,
    /// The shard's tables, looked up while it is at work.
    tables: Arc<Tables<T>>,
    wire: NumberFormat,
    /// Where checkpoints are, if anywhere.
    folder: Option<PathBuf>,
    connections: Mutex<ReplicaConnections>,
    pub(super) room: StagingRoom,
    /// Whether there is room for fewer contributions than there may be: the leader's server gives
    /// it for all servers, and no other server makes a replica wait.
    pub(super) bounded: bool,
    /// The coordinator has decided on a contribution.
    decided: Notify,
    pub(super) counters: Counters,
    /// Whether this server was asked to end.
    pub(super) leaving: AtomicBool,
    /// Set once it may leave.
    pub(super) released: watch::Sender<Option<Release>>,
    /// How the training ended, once it has and everything is saved.
    pub(super) over: watch::Sender<Option<Ended>>,
}

/// The state in which a generation begins.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) run: RunId,
    pub(super) generation: Generation,
    pub(super) global_step: GlobalStep,
    /// The name of the checkpoint that has the rows of tables, if there is one.
    pub(super) checkpoint: Option<String>,
}

/// A server's part of a checkpoint: its state, and its rows, if it has tables.
pub(super) type Saved<T> = (ShardState<T>, Option<TableSaves<T>>);

/// A server that was asked to end may leave.
#[derive(Clone, Debug)]
pub(super) enum Release {
    /// A checkpoint has what it holds, or no leader is there to write one.
    Saved,
    /// No checkpoint has it, and why.
    Unsaved(String),
}

impl Release {
    /// From the words that travel: none if it is saved.
    pub(super) fn of(words: String) -> Self {
        if words.is_empty() { Self::Saved } else { Self::Unsaved(words) }
    }

    /// Those words.
    pub(super) fn words(self) -> String {
        if let Self::Unsaved(words) = self { words } else { String::new() }
    }
}

impl<T: Scalar> ParameterServer<T> {
    /// Its shard has the program's initial values.
    pub(super) fn new(settings: &ServerSettings, shard: Shard<T>, secret: u64) -> Self {
        let replicas = settings.config.total_num_replicas();
        let leads = settings.index == ServerIndex::LEADER;
        Self {
            index: settings.index,
            placement: Arc::clone(&settings.placement),
            secret: AtomicU64::new(secret),
            run: Mutex::new(None),
            tables: Arc::clone(shard.tables()),
            wire: settings.wire,
            folder: settings.duties.checkpoints.as_ref().map(|it| it.folder.clone()),
            shard: Mutex::new(shard),
            connections: Mutex::new(ReplicaConnections::new(settings.wire)),
            room: StagingRoom::new(if leads { settings.staging } else { replicas }),
            bounded: settings.staging < replicas,
            decided: Notify::new(),
            counters: Counters::default(),
            leaving: AtomicBool::new(false),
            released: watch::channel(None).0,
            over: watch::channel(None).0,
        }
    }

    pub(super) fn shard(&self) -> MutexGuard<'_, Shard<T>> {
        lock(&self.shard)
    }

    pub(super) fn connections(&self) -> MutexGuard<'_, ReplicaConnections> {
        lock(&self.connections)
    }

    /// From now on receipts are made with this secret.
    pub(super) fn set_secret(&self, secret: u64) {
        self.secret.store(secret, Ordering::Release);
    }

    /// The proof to the coordinator that this server holds a contribution.
    pub(super) fn receipt(&self, generation: Generation, contribution: Contribution) -> u64 {
        let secret = self.secret.load(Ordering::Acquire);
        coordinator::receipt(secret, self.index, generation, contribution)
    }

    /// Carries out decisions on contributions, and an update.
    pub(super) fn carry_out(
        &self,
        command: &ShardCommand,
    ) -> Result<Option<Updated>, CommandError> {
        let mut shard = self.shard();
        let begun = Instant::now();
        let carried_out = shard.carry_out(command);
        // Not before: the replica that gets the room wants the shard at once, and while that is at
        // work would hold up a thread that reads others.
        let decisions = command.decisions();
        decisions.iter().for_each(|decision| self.room.release(decision.contribution()));
        if !decisions.is_empty() {
            self.decided.notify_waiters();
        }
        let applied = carried_out?;
        let took = begun.elapsed();
        drop(shard);
        if matches!(command, ShardCommand::Apply { last: true, .. }) {
            self.publish();
        }
        Ok(applied.map(|it| Updated { variable: it.variable, took }))
    }

    /// What its process needs.
    pub(super) fn usage(&self) -> Usage {
        Usage::of_process(self.counters.received_bytes.load(Ordering::Relaxed))
    }

    /// The state of the shard, and its rows as of the same step, for writing.
    ///
    /// # Errors
    /// There is no state of one step, since an update failed.
    pub(super) fn save(&self) -> Result<Saved<T>, CommandError> {
        let shard = self.shard();
        if !shard.is_whole() {
            return Err(CommandError::NotWhole);
        }
        let tables = !self.tables.declared().is_empty();
        // Which rows there are is written down, of each.
        Ok((shard.state(), tables.then(|| blocking(|| self.tables.begin_save()))))
    }

    /// Writes its rows beside the checkpoints, into the folder of this name.
    ///
    /// # Errors
    /// [`CommandError::NoFolder`], [`CommandError::Checkpoint`].
    pub(super) fn write_rows(
        &self,
        aside: &str,
        rows: TableSaves<T>,
    ) -> Result<Vec<SavedTable>, CommandError> {
        let folder = self.folder.as_deref().ok_or(CommandError::NoFolder)?;
        Ok(blocking(|| write_rows(folder, aside, rows, self.index.get()))?)
    }

    /// Its rows as a checkpoint has them, or none.
    fn take_rows(&self, checkpoint: Option<&str>) -> Result<(), CommandError> {
        let Some(checkpoint) = checkpoint else { return Ok(self.tables.clear()?) };
        let folder = self.folder.as_deref().ok_or(CommandError::NoFolder)?;
        let share = TableShare { own: self.index.get(), stores: self.placement.shards() };
        let saved = checkpoint::tables_of(folder, checkpoint)?;
        self.tables.replace(blocking(|| saved.load(&self.tables, share))?);
        Ok(())
    }

    /// The contents of a server's state, in the same program.
    pub(super) fn layout_of(&self, server: ServerIndex) -> Layout {
        Layout::of(&self.shard(), self.placement.parts(server.get()))
    }

    /// The run that it serves, once a generation has begun.
    pub(super) fn run(&self) -> Option<RunId> {
        *lock(&self.run)
    }

    /// Whether it may serve this run: it has served no update of another (P-26).
    ///
    /// # Errors
    /// [`OtherRun`].
    pub(super) fn may_serve(&self, got: RunId) -> Result<(), OtherRun> {
        let served = self.run().filter(|&served| served != got);
        let updated = self.shard().snapshot().global_step > GlobalStep::default();
        match served.filter(|_| updated) {
            Some(served) => Err(OtherRun { server: self.index.get(), served, got }),
            None => Ok(()),
        }
    }

    /// Puts the shard into a generation, with a saved state or the initial one.
    pub(super) fn begin(
        &self,
        state: Option<ShardState<T>>,
        start: Start,
    ) -> Result<(), CommandError> {
        crash_point!("server/before-generation");
        self.may_serve(start.run)?;
        self.take_rows(start.checkpoint.as_deref())?;
        self.shard().begin_from(state.as_ref(), start.generation, start.global_step)?;
        *lock(&self.run) = Some(start.run);
        crash_point!("server/generation-begun");
        self.room.release_all();
        self.decided.notify_waiters();
        self.publish();
        Ok(())
    }

    /// A replica asks for the variables once they are newer than its own.
    pub(super) fn pull(&self, replica: ReplicaId, wanted: WantedSnapshot) {
        let (snapshot, whole) = {
            let shard = self.shard();
            (shard.snapshot(), shard.is_whole())
        };
        // If not, nothing is left to read, and soon the end is told (P-25).
        if whole {
            let sent = self.connections().pull(replica, wanted, &snapshot);
            self.counters.snapshots.fetch_add(sent, Ordering::Relaxed);
        }
    }

    /// Sends the newest variables to the replicas that wait for them.
    fn publish(&self) {
        let snapshot = self.shard().snapshot();
        let sent = self.connections().publish(&snapshot);
        self.counters.snapshots.fetch_add(sent, Ordering::Relaxed);
    }

    /// This server may leave.
    pub(super) fn release(&self, release: Release) {
        self.released.send_replace(Some(release));
    }

    /// Training is over; tells all replicas here. Nothing takes that back.
    pub(super) fn end(&self, ended: Ended) {
        if !self.is_over() {
            // First, so that a replica that comes meanwhile is also told.
            self.over.send_replace(Some(ended.clone()));
            self.connections().send_to_all(&Message::Ended(ended));
        }
    }

    /// Whether the end was told.
    pub(super) fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }
}
