//! A new life of the shared state: at the start, and whenever a server has lost its state.
//!
//! All shards go back to the newest checkpoint, or to the program's initial values if there is none
//! (the chief sends them where servers have no program), under a generation that no earlier life
//! had and that is on disk before any replica is served (P-9). Invariant: requests made meanwhile
//! are carried out afterwards, and an end stays one.

use std::sync::Arc;
use std::time::Duration;

use sync_replicas::checkpoint::CheckpointError;
use sync_replicas::checkpoint::{self, TrainingState};
use sync_replicas::driver::{Generation, describe};
use sync_replicas::engine::{Positions, StartError, StopReason};
use sync_replicas::{GlobalStep, Scalar};
use tokio::time::Instant;

use super::initial_values::InitialValues;
use super::server_handle::ServerHandle;
use super::shared::SharedLeader;
use super::{Leader, Phase};
use crate::blocking::blocking;
use crate::placement::cut_dense;
use crate::server::command_error::CommandError;
use crate::server::link::Begun;
use crate::server::parameter_server::{Release, Start};
use crate::shard::{ShardError, ShardState, StateError, scatter};

/// Begins generations.
pub(crate) struct Recovery<T: Scalar> {
    leader: Arc<SharedLeader<T>>,
}

/// Why a generation did not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoveryError {
    #[error("a server was lost meanwhile")]
    Again,
    /// The supervisor of the processes must see to it.
    #[error("a server stays away")]
    Alone,
    #[error(
        "a parameter server has lost its state, and there is no checkpoint to go back to; give \
         --checkpoint-dir"
    )]
    NoCheckpoint,
    #[error("{}", describe(.0))]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Shard(#[from] ShardError),
    #[error(transparent)]
    Begin(#[from] CommandError),
    /// Nothing is lost yet, and its starter is still there.
    #[error("the first checkpoint was not written, so training has not begun: {0}")]
    FirstSave(String),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// To end training, servers absent for longer than this are not waited for.
const SOON: Duration = Duration::from_secs(5);

/// How often to check whether a state still comes in somewhere.
const LOOK: Duration = Duration::from_millis(100);

impl<T: Scalar> Recovery<T> {
    pub(crate) fn new(leader: Arc<SharedLeader<T>>) -> Self {
        Self { leader }
    }

    /// Begins a new generation on all shards at the start, and whenever one is needed; ends
    /// training if that is impossible.
    pub(crate) async fn keep(self) {
        let leader = &self.leader;
        loop {
            while leader.with(is_needed) {
                match self.begin_generation().await {
                    Ok(()) => {}
                    // Another server was lost meanwhile, and what was begun is void.
                    Err(RecoveryError::Again) => leader.with(|leader| leader.phase = Phase::Lost),
                    Err(RecoveryError::Alone) => return leader.gave_up.notify_one(),
                    Err(RecoveryError::Checkpoint(error @ CheckpointError::Replaced { .. })) => {
                        return leader.with(|leader| leader.was_replaced(error.to_string()));
                    }
                    Err(error) => {
                        let reason = error.to_string();
                        tracing::error!(reason, "the cluster cannot go on");
                        let step = leader.own.shard().snapshot().global_step;
                        let reason = StopReason::Failed(reason);
                        leader.with(|leader| leader.end_without(step, reason));
                        return;
                    }
                }
            }
            leader.renewed.notified().await;
        }
    }

    /// Finds out which run this is, if there is a checkpoint to go on from. An unreadable one is
    /// reported when training goes on from it.
    pub(crate) fn learn_run(&self) {
        let Some(checkpoints) = &self.leader.settings.duties.checkpoints else { return };
        if let Ok(Some(run)) = blocking(|| checkpoint::newest_run(&checkpoints.folder)) {
            self.leader.with(|leader| leader.saving.run = run);
        }
    }

    pub(crate) async fn begin_generation(&self) -> Result<(), RecoveryError> {
        crash_point!("coordinator/before-generation");
        let leader = &self.leader;
        self.until_written().await;
        let Some(first) = leader.with(give_up_generation) else { return Ok(()) };
        // Connected replicas say hello again once all shards are ready.
        leader.own.connections().close_all();
        let saved = blocking(|| self.newest())?;
        if saved.is_none() && !first {
            return Err(RecoveryError::NoCheckpoint);
        }
        let (step, after, positions) = match &saved {
            Some(state) => (state.global_step, state.generation, state.positions.clone()),
            None => (GlobalStep::default(), Generation::default(), Positions::default()),
        };
        let run = saved.as_ref().and_then(|state| state.run);
        let (run, present) = leader.with(|leader| {
            leader.saving.run = run.unwrap_or(leader.saving.run);
            (leader.saving.run, leader.coordinator.generation())
        });
        let after = blocking(|| self.claim(after.max(present)))?;
        crash_point!("coordinator/generation-claimed");
        let generation = after.next();
        let restored = saved.is_some();
        let placement = &leader.settings.placement;
        let states = match (&saved, leader.settings.values_from_chief) {
            (Some(state), _) => Some(scatter(placement, state)?),
            (None, false) => None,
            (None, true) => match self.initial_states().await? {
                Some(states) => Some(states),
                None => return self.end_alone(step, restored),
            },
        };
        tracing::info!(%generation, %step, restored, "a new generation begins");
        let checkpoint = self.rows_of(saved.as_ref());
        let start = Start { run, generation, global_step: step, checkpoint };
        match self.begin_shards(states, start).await {
            Err(RecoveryError::Alone) => return self.end_alone(step, restored),
            begun => begun?,
        }
        // All shards are in it, and so is the coordinator.
        leader.with(|leader| {
            leader.coordinator.restore(step, after, &positions);
            leader.saving.on_disk = restored.then_some(leader.saving.updates);
            if !restored {
                // Before anybody is served: from the first step on there is one to go back to.
                leader.begin_save();
            }
        });
        self.until_saved().await?;
        crash_point!("coordinator/before-serving");
        leader.with(|leader| serve(leader, step))
    }

    /// The name of the checkpoint that has the rows of tables, if there are any.
    fn rows_of(&self, saved: Option<&TrainingState<T>>) -> Option<String> {
        let saved = &saved?.tables;
        let any = !saved.tables().is_empty() || !self.leader.settings.placement.tables().is_empty();
        saved.checkpoint().filter(|_| any).map(str::to_owned)
    }

    /// The states of all servers at step 0, of the chief's values; `None` if training must end
    /// before they have come.
    async fn initial_states(&self) -> Result<Option<Vec<ShardState<T>>>, RecoveryError> {
        let leader = &self.leader;
        leader.with(|leader| leader.initial_values.iter_mut().for_each(InitialValues::want));
        tracing::info!("the servers wait for the initial values of the chief's variables");
        let values = loop {
            let came = leader.with(|leader| {
                if leader.own.is_over() || leader.phase == Phase::Lost {
                    return Err(RecoveryError::Again);
                }
                let whole = leader.initial_values.as_mut().and_then(InitialValues::hand_over);
                Ok((whole, leader.deferred.stop.is_some()))
            });
            match came? {
                (Some(values), _) => break values,
                (None, true) => return Ok(None),
                (None, false) => tokio::time::sleep(LOOK).await,
            }
        };
        // The chief says hello again once all shards are ready.
        leader.own.connections().close_all();
        let placement = &leader.settings.placement;
        let shard = leader.own.shard();
        let states = (0..placement.shards()).map(|server| {
            let parts = placement.parts(server);
            let own = parts.iter().map(|part| cut_dense(part, values[part.variable.get()].view()));
            shard.initial_state(parts, own.map(|view| view.to_owned()).collect())
        });
        Ok(Some(states.collect::<Result<_, _>>()?))
    }

    /// Servers stay away. If training is over, or an end was requested, the newest checkpoint is
    /// its result.
    fn end_alone(&self, step: GlobalStep, restored: bool) -> Result<(), RecoveryError> {
        self.leader.with(|leader| {
            let reason = match leader.deferred.stop.take() {
                Some(reason @ StopReason::Requested(_)) => reason,
                _ if restored && leader.is_last(step.get()) => {
                    StopReason::Requested(format!("step {step} was reached"))
                }
                _ => return Err(RecoveryError::Alone),
            };
            leader.end_without(step, reason);
            Ok(())
        })
    }

    /// Waits until the checkpoint on its way to the disk is there: it is the newest, and no later
    /// one may overtake it.
    async fn until_written(&self) {
        while self.leader.with(|leader| leader.saving.is_written()) {
            self.leader.saved.notified().await;
        }
    }

    /// Waits until no checkpoint is under way; a server that is lost meanwhile cannot send its
    /// part.
    async fn until_saved(&self) -> Result<(), RecoveryError> {
        while self.leader.with(|leader| {
            let lost = leader.phase == Phase::Lost || leader.own.is_over();
            if lost { Err(RecoveryError::Again) } else { Ok(leader.saving.under_way.is_some()) }
        })? {
            self.leader.saved.notified().await;
        }
        Ok(())
    }

    /// Puts every shard into the new generation, this process's own last.
    async fn begin_shards(
        &self,
        states: Option<Vec<ShardState<T>>>,
        start: Start,
    ) -> Result<(), RecoveryError> {
        let states = states.into_iter().flatten().map(Some).chain(std::iter::repeat_with(|| None));
        let mut servers = self.leader.servers.iter().zip(states);
        let own = servers.next();
        let others: Vec<Begun> =
            servers.map(|(server, state)| server.begin(state, start.clone())).collect();
        let all = async {
            for begun in others {
                begun.await.map_err(|_| RecoveryError::Again)??;
            }
            Ok(())
        };
        self.while_they_come(start.global_step, all).await?;
        crash_point!("coordinator/others-begun");
        let Some((own, state)) = own else { return Ok(()) };
        Ok(own.begin(state, start).await.map_err(|_| RecoveryError::Again)??)
    }

    /// Waits for the other servers for as long as they come and receive, and beyond that for the
    /// reconnect timeout; less long if only the end remains.
    async fn while_they_come(
        &self,
        step: GlobalStep,
        all: impl Future<Output = Result<(), RecoveryError>>,
    ) -> Result<(), RecoveryError> {
        let leader = &self.leader;
        let open = || leader.servers.iter().map(ServerHandle::open_orders).sum::<usize>();
        let (mut left, mut since) = (open(), Instant::now());
        tokio::pin!(all);
        loop {
            if let Ok(begun) = tokio::time::timeout(LOOK, &mut all).await {
                return begun;
            }
            if leader.own.is_over() {
                return Err(RecoveryError::Again);
            }
            let now_left = open();
            if now_left != left {
                (left, since) = (now_left, Instant::now());
            }
            let ends =
                leader.with(|leader| leader.deferred.stop.is_some() || leader.is_last(step.get()));
            let reconnect_timeout = leader.settings.reconnect_timeout;
            if since.elapsed() >= if ends { reconnect_timeout.min(SOON) } else { reconnect_timeout }
            {
                return Err(RecoveryError::Alone);
            }
        }
    }

    /// The checkpoint to go on from, skipping damaged ones.
    fn newest(&self) -> Result<Option<TrainingState<T>>, CheckpointError> {
        let Some(checkpoints) = &self.leader.settings.duties.checkpoints else { return Ok(None) };
        Ok(checkpoint::recover(&checkpoints.folder)?.map(|(_, state)| state))
    }

    /// Claims the next generation's number for this life, on disk; returns the one before it.
    fn claim(&self, after: Generation) -> Result<Generation, CheckpointError> {
        let Some(checkpoints) = &self.leader.settings.duties.checkpoints else { return Ok(after) };
        let own = self.leader.with(|leader| leader.saving.claimed);
        let before = checkpoint::claim(&checkpoints.folder, after, own)?;
        self.leader.with(|leader| leader.saving.claimed = Some(before.next()));
        Ok(before)
    }
}

/// Whether a new generation is needed, which then begins.
fn is_needed<T: Scalar>(leader: &mut Leader<T>) -> bool {
    let lost = leader.phase == Phase::Lost;
    if lost {
        leader.phase = Phase::Recovering;
    }
    lost
}

/// The present generation is over. Whether no step was made yet; `None` if training has ended, and
/// no other generation begins.
fn give_up_generation<T: Scalar>(leader: &mut Leader<T>) -> Option<bool> {
    leader.saving.under_way = None;
    let leave = leader.coordinator.nothing_is_saved();
    leader.release(leave, &Release::Saved);
    let ended = leader.stays_ended();
    (!ended).then(|| leader.coordinator.global_step() == GlobalStep::default())
}

/// All servers and the coordinator are in a generation, and replicas may come.
fn serve<T: Scalar>(leader: &mut Leader<T>, step: GlobalStep) -> Result<(), RecoveryError> {
    let saving = &leader.saving;
    if let Some(reason) = saving.error.as_ref().filter(|_| saving.on_disk.is_none()) {
        return Err(RecoveryError::FirstSave(reason.clone()));
    }
    if leader.phase == Phase::Lost || leader.ending.is_some() {
        return Err(RecoveryError::Again);
    }
    let now = leader.now();
    leader.phase = Phase::Serving;
    if leader.history.begin(now, step) {
        leader.settings.record.iter().for_each(|record| record.begin(now));
    }
    leader.coordinator.at(now).start()?;
    leader.act();
    let deferred = std::mem::take(&mut leader.deferred);
    if deferred.save {
        leader.begin_save();
    }
    if let Some(reason) = deferred.stop {
        leader.stop(reason);
    }
    Ok(())
}
