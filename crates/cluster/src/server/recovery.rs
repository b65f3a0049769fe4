//! A new life of the shared state: at the start, and whenever a server has lost its state.
//!
//! All shards go back to the newest checkpoint, or to the program's initial values where there is
//! none, under a generation that no earlier life had and that is on disk before anybody is served
//! (P-9). Invariant: what is wished for meanwhile is done afterwards, and an end stays one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sync_replicas::checkpoint::{self, TrainingState};
use sync_replicas::engine::{Positions, StopReason};
use sync_replicas::{Generation, GlobalStep, Scalar};
use tokio::time::Instant;

use super::hub::Hub;
use super::link::{Begun, LinkHandle};
use super::node::{Node, lock};
use super::saving::{Saving, blocking};
use crate::client::words;
use crate::coordinator::Actions;
use crate::shard::{ShardState, scatter};

/// Why a generation did not begin.
pub(super) enum Hitch {
    /// A server was lost meanwhile.
    Again,
    /// A server stays away: whoever places the processes must see to it.
    Alone,
    Failed(String),
}

impl From<String> for Hitch {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// Servers that do not come within so long are not waited for to end training.
const SOON: Duration = Duration::from_secs(5);

/// How often it is looked whether a state still comes in somewhere.
const LOOK: Duration = Duration::from_millis(100);

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// A server has lost its state: what is under way is in vain, and wishes wait.
    pub(super) fn give_up_life(&self) {
        if let Some(hub) = &self.hub {
            let mut hub = lock(hub);
            hub.serving = false;
            self.stale.store(true, Ordering::Release);
        }
    }

    /// The new generation that is needed can begin.
    pub(super) fn renew(&self) {
        self.renewed.notify_one();
        self.saved.notify_one();
    }

    /// Begins a new generation on all shards at the start, and whenever one is needed; ends
    /// training if that cannot be.
    pub(super) async fn keep_generations(self: Arc<Self>) {
        loop {
            while self.stale.swap(false, Ordering::AcqRel) {
                match self.begin_generation().await {
                    Ok(()) => {}
                    // Another server was lost meanwhile; with it the flag is set again.
                    Err(Hitch::Again) => self.stale.store(true, Ordering::Release),
                    Err(Hitch::Alone) => return self.gave_up.notify_one(),
                    Err(Hitch::Failed(reason)) => {
                        tracing::error!(reason, "the cluster cannot go on");
                        self.end_without(self.global_step(), reason, true);
                        return;
                    }
                }
            }
            self.renewed.notified().await;
        }
    }

    pub(super) async fn begin_generation(self: &Arc<Self>) -> Result<(), Hitch> {
        let Some(hub) = &self.hub else { return Ok(()) };
        crash_point!("coordinator/before-generation");
        lock(hub).serving = false;
        self.until_written().await;
        let first = {
            let mut hub = lock(hub);
            hub.saving = None;
            let leave = hub.coordinator.nothing_is_saved();
            self.let_go(&hub, leave, "");
            if self.stays_ended(&mut hub) {
                return Ok(());
            }
            hub.coordinator.global_step() == GlobalStep::default()
        };
        // Whoever is connected says hello again once all shards are ready.
        self.posts().close_all();
        let saved = blocking(|| self.newest())?;
        if saved.is_none() && !first {
            return Err(Hitch::Failed(
                "a parameter server has lost its state, and there is no checkpoint to go \
                        back to; give --checkpoint-dir"
                    .to_owned(),
            ));
        }
        let (step, after, positions) = match &saved {
            Some(state) => (state.global_step, state.generation, state.positions.clone()),
            None => (GlobalStep::default(), Generation::default(), Positions::default()),
        };
        let present = {
            let mut hub = lock(hub);
            hub.run = saved.as_ref().and_then(|state| state.run).unwrap_or(hub.run);
            hub.coordinator.generation()
        };
        let after = blocking(|| self.claim(after.max(present)))?;
        crash_point!("coordinator/generation-claimed");
        let generation = after.next();
        let restored = saved.is_some();
        let states = match saved {
            Some(state) => {
                let states = scatter(&self.settings.placement, &state);
                Some(states.map_err(|error| Hitch::Failed(error.to_string()))?)
            }
            None => None,
        };
        tracing::info!(%generation, %step, restored, "a new generation begins");
        match self.begin_shards(states, generation, step).await {
            Err(Hitch::Alone) => return self.end_alone(step, restored),
            begun => begun?,
        }
        self.serve_generation((step, after, &positions), restored).await
    }

    /// All shards are in a new generation: the coordinator as well, and its replicas may come.
    async fn serve_generation(
        self: &Arc<Self>,
        (step, after, positions): (GlobalStep, Generation, &Positions),
        restored: bool,
    ) -> Result<(), Hitch> {
        let Some(hub) = &self.hub else { return Ok(()) };
        {
            let mut hub = lock(hub);
            hub.coordinator.restore(step, after, positions);
            hub.saved = restored.then_some(hub.updates);
            if !restored {
                // Before anybody is served: from the first step on there is one to go back to.
                self.begin_save(&mut hub);
            }
        }
        self.until_saved().await?;
        crash_point!("coordinator/before-serving");
        let (mut hub, mut actions) = (lock(hub), Actions::default());
        if let Some(reason) = hub.save_error.as_ref().filter(|_| hub.saved.is_none()) {
            // Nothing is lost yet, and whoever has started it is still there.
            return Err(Hitch::Failed(format!(
                "the first checkpoint was not written, so training has not begun: {reason}"
            )));
        }
        if self.stale.load(Ordering::Acquire) || hub.ending.is_some() {
            return Err(Hitch::Again);
        }
        let now = self.now();
        (hub.serving, hub.began) = (true, Some(now));
        if hub.trained.0.is_none() {
            hub.trained.0 = Some((now, step));
            self.settings.record.iter().for_each(|record| record.begin(now));
        }
        let started = hub.coordinator.start(now, &mut actions);
        started.map_err(|error| Hitch::Failed(error.to_string()))?;
        self.act(&mut hub, actions);
        let wishes = std::mem::take(&mut hub.wishes);
        if wishes.save {
            self.begin_save(&mut hub);
        }
        if let Some(reason) = wishes.stop {
            let mut actions = Actions::default();
            hub.coordinator.stop(reason, now, &mut actions);
            self.act(&mut hub, actions);
        }
        Ok(())
    }

    /// A server was lost after the end: whether it stays at that. Where nobody has heard of it, all
    /// can make the last updates again, or end at an earlier step as it was wished.
    fn stays_ended(&self, hub: &mut Hub<T>) -> bool {
        match hub.ending.take() {
            None => false,
            Some(ended) if self.is_over() => {
                // The lost one is to hear of it when it comes back.
                hub.tell_servers(&ended);
                hub.ending = Some(ended);
                true
            }
            Some(ended) if ended.failed => {
                hub.ending = Some(ended);
                self.finish_if_saved(hub);
                true
            }
            Some(ended) => {
                tracing::warn!("a server was lost before the last checkpoint was written");
                if !self.is_last(ended.global_step) {
                    hub.wishes.stop.get_or_insert(StopReason::Requested(ended.reason));
                }
                false
            }
        }
    }

    /// Servers stay away. Where training is over, or somebody wishes that it be, the newest
    /// checkpoint is what came of it.
    fn end_alone(&self, step: GlobalStep, restored: bool) -> Result<(), Hitch> {
        let Some(hub) = &self.hub else { return Ok(()) };
        let wish = lock(hub).wishes.stop.take();
        let reason = match wish {
            Some(StopReason::Requested(reason)) => reason,
            _ if restored && self.is_last(step.get()) => format!("step {step} was reached"),
            _ => return Err(Hitch::Alone),
        };
        self.end_without(step, reason, false);
        Ok(())
    }

    /// Whether training ends after this step.
    fn is_last(&self, step: i64) -> bool {
        self.settings.last_step.is_some_and(|last| step >= last)
    }

    /// Waits until the checkpoint that is on its way to the disk is there: it is the newest, and
    /// of the next ones none may overtake it.
    async fn until_written(&self) {
        let Some(hub) = &self.hub else { return };
        while lock(hub).saving.as_ref().is_some_and(Saving::is_written) {
            self.saved.notified().await;
        }
    }

    /// Waits until no checkpoint is under way; a server that is lost meanwhile cannot send its
    /// part.
    async fn until_saved(&self) -> Result<(), Hitch> {
        let Some(hub) = &self.hub else { return Ok(()) };
        loop {
            if self.stale.load(Ordering::Acquire) || self.is_over() {
                return Err(Hitch::Again);
            }
            if lock(hub).saving.is_none() {
                return Ok(());
            }
            self.saved.notified().await;
        }
    }

    /// Puts every shard into the new generation, this one last.
    async fn begin_shards(
        self: &Arc<Self>,
        states: Option<Vec<ShardState<T>>>,
        generation: Generation,
        step: GlobalStep,
    ) -> Result<(), Hitch> {
        let mut states = states.map(|states| states.into_iter().map(Some).collect::<Vec<_>>());
        let mut state_of =
            |server: usize| states.as_mut().and_then(|it| it.get_mut(server)?.take());
        let own = state_of(0);
        let waits: Vec<Begun> = match &self.hub {
            Some(hub) => {
                let hub = lock(hub);
                let links = hub.links.iter().enumerate();
                links
                    .map(|(index, link)| link.begin(state_of(index + 1), generation, step))
                    .collect()
            }
            None => Vec::new(),
        };
        let all = async {
            for begun in waits {
                begun.await.map_err(|_| Hitch::Again)??;
            }
            Ok::<_, Hitch>(())
        };
        self.while_they_come(step, all).await?;
        crash_point!("coordinator/others-begun");
        Ok(self.begin_shard(own, generation, step)?)
    }

    /// Waits for the other servers for as long as they come and receive, and beyond that for the
    /// patience; not so long where all that is left is to end.
    async fn while_they_come(
        &self,
        step: GlobalStep,
        all: impl Future<Output = Result<(), Hitch>>,
    ) -> Result<(), Hitch> {
        let Some(hub) = &self.hub else { return Ok(()) };
        let open = || lock(hub).links.iter().map(LinkHandle::open).sum::<usize>();
        let (mut left, mut since) = (open(), Instant::now());
        tokio::pin!(all);
        loop {
            if let Ok(begun) = tokio::time::timeout(LOOK, &mut all).await {
                return begun;
            }
            if self.is_over() {
                return Err(Hitch::Again);
            }
            let now_left = open();
            if now_left != left {
                (left, since) = (now_left, Instant::now());
            }
            let ends = lock(hub).wishes.stop.is_some() || self.is_last(step.get());
            let patience = self.settings.patience;
            if since.elapsed() >= if ends { patience.min(SOON) } else { patience } {
                return Err(Hitch::Alone);
            }
        }
    }

    /// Puts this server's shard into a generation, with a saved state or the initial one.
    pub(super) fn begin_shard(
        &self,
        state: Option<ShardState<T>>,
        generation: Generation,
        step: GlobalStep,
    ) -> Result<(), String> {
        crash_point!("server/before-generation");
        {
            let mut shard = self.shard();
            match state {
                Some(state) => shard.restore(&state).map_err(|error| error.to_string())?,
                // No step was made of the initial values.
                None if shard.snapshot().global_step == GlobalStep::default() => {}
                None => {
                    return Err("the coordinator has lost its state, and there is no checkpoint \
                                to go back to; give --checkpoint-dir"
                        .to_owned());
                }
            }
            shard.begin_generation(generation, step);
        }
        crash_point!("server/generation-begun");
        self.room.release_all();
        self.publish();
        Ok(())
    }

    /// What to go on from, passing over what is damaged.
    fn newest(&self) -> Result<Option<TrainingState<T>>, String> {
        let Some(checkpoints) = &self.settings.checkpoints else { return Ok(None) };
        let found = checkpoint::recover(&checkpoints.folder).map_err(|error| words(&error))?;
        Ok(found.map(|(_, state)| state))
    }

    /// Takes the next generation's number for this life, on disk; answers the one before it.
    fn claim(&self, after: Generation) -> Result<Generation, String> {
        let Some(checkpoints) = &self.settings.checkpoints else { return Ok(after) };
        checkpoint::claim(&checkpoints.folder, after).map_err(|error| words(&error))
    }
}
