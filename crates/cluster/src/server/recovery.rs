//! A new life of the shared state: at the start, and whenever a server has lost its state.
//!
//! All shards go back to the newest checkpoint, or to the program's initial values where there is
//! none, under a generation that no earlier life had and that is on disk before anybody is served
//! (P-9).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sync_replicas::checkpoint::{self, TrainingState};
use sync_replicas::engine::{Positions, StopReason};
use sync_replicas::{Generation, GlobalStep, Scalar};

use super::hub::Hub;
use super::link::Begun;
use super::node::{Node, lock};
use super::saving::blocking;
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

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// A new generation is needed: a server has lost its state.
    pub(super) fn renew(&self) {
        self.stale.store(true, Ordering::Release);
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
                        self.stop(StopReason::Failed(reason));
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
        let first = {
            let mut hub = lock(hub);
            hub.serving = false;
            hub.saving = None;
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
        if saved.is_some() && self.is_last(step.get()) {
            // It ended in an earlier life, and the others may be gone.
            let mut hub = lock(hub);
            let reason = format!("step {step} was reached");
            let global_step = step.get();
            hub.ending = Some(crate::proto::Ended { reason, failed: false, global_step });
            hub.links.clear();
            self.finish_if_saved(&mut hub);
            return Ok(());
        }
        let present = lock(hub).coordinator.generation();
        let after = blocking(|| self.claim(after.max(present)))?;
        crash_point!("coordinator/generation-claimed");
        let generation = after.next();
        let states = match &saved {
            Some(state) => {
                let states = scatter(&self.settings.placement, state);
                Some(states.map_err(|error| Hitch::Failed(error.to_string()))?)
            }
            None => None,
        };
        tracing::info!(%generation, %step, restored = saved.is_some(), "a new generation begins");
        self.begin_shards(states, generation, step).await?;
        lock(hub).coordinator.restore(step, after, &positions);
        if saved.is_none() {
            // Before anybody is served: from the first step on there is something to go back to.
            self.begin_save(&mut lock(hub));
            self.until_saved().await?;
        }
        crash_point!("coordinator/before-serving");
        let (mut hub, mut actions) = (lock(hub), Actions::default());
        hub.serving = true;
        let now = self.now();
        let started = hub.coordinator.start(now, &mut actions);
        started.map_err(|error| Hitch::Failed(error.to_string()))?;
        self.act(&mut hub, actions);
        Ok(())
    }

    /// A server was lost after the end: whether it stays at that. Where nobody has heard of it, all
    /// can make the last updates again.
    fn stays_ended(&self, hub: &mut Hub<T>) -> bool {
        match &hub.ending {
            None => false,
            // The lost one is to hear of it when it comes back.
            Some(ended) if self.is_over() => {
                hub.tell_servers(ended);
                true
            }
            Some(ended) if !ended.failed && self.is_last(ended.global_step) => {
                tracing::warn!("a server was lost before the last checkpoint was written");
                hub.ending = None;
                false
            }
            Some(_) => {
                tracing::error!("a server was lost at the end; the checkpoint before stands");
                self.finish_if_saved(hub);
                true
            }
        }
    }

    /// Whether training ends after this step.
    fn is_last(&self, step: i64) -> bool {
        self.settings.last_step.is_some_and(|last| step >= last)
    }

    /// Waits until no checkpoint is under way; a server that is lost meanwhile cannot send its
    /// part.
    async fn until_saved(&self) -> Result<(), Hitch> {
        let Some(hub) = &self.hub else { return Ok(()) };
        loop {
            if self.stale.load(Ordering::Acquire) {
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
        let patience = self.settings.patience;
        tokio::time::timeout(patience, all).await.map_err(|_| Hitch::Alone)??;
        crash_point!("coordinator/others-begun");
        Ok(self.begin_shard(own, generation, step)?)
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

    fn newest(&self) -> Result<Option<TrainingState<T>>, String> {
        let Some(checkpoints) = &self.settings.checkpoints else { return Ok(None) };
        let words = |error: checkpoint::CheckpointError| error.to_string();
        match checkpoint::latest(&checkpoints.folder).map_err(words)? {
            Some(path) => checkpoint::read(&path).map(Some).map_err(words),
            None => Ok(None),
        }
    }

    /// Takes the next generation's number for this life, on disk; answers the one before it.
    fn claim(&self, after: Generation) -> Result<Generation, String> {
        let Some(checkpoints) = &self.settings.checkpoints else { return Ok(after) };
        claim(&checkpoints.folder, after)
            .map_err(|error| format!("{}: {error}", checkpoints.folder.display()))
    }
}

/// The file that holds the number of the newest generation.
const FILE: &str = "generation";

fn claim(folder: &Path, after: Generation) -> io::Result<Generation> {
    fs::create_dir_all(folder)?;
    let path = folder.join(FILE);
    let known = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse::<u64>().map_err(|_| {
            let what = format!("`{FILE}` holds {text:?}, expected a number; remove it");
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let after = after.max(Generation::new(known));
    let aside = folder.join(".generation.new");
    let mut file = File::create(&aside)?;
    writeln!(file, "{}", after.next().get())?;
    file.sync_all()?;
    fs::rename(&aside, &path)?;
    File::open(folder)?.sync_all()?;
    Ok(after)
}
