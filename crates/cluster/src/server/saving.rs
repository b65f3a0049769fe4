//! A checkpoint of the whole cluster: every shard's state at one step, gathered, then written.
//!
//! The order to save stands among the updates, so all shards save the same step, and training goes
//! on meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sync_replicas::checkpoint::TrainingState;
use sync_replicas::engine::Positions;
use sync_replicas::{GlobalStep, Scalar};

use super::hub::Hub;
use super::node::{Node, lock};
use crate::client::words;
use crate::crash::write_checkpoint;
use crate::proto;
use crate::shard::{ShardState, gather};

/// A checkpoint that is being gathered or written.
pub(super) struct Saving<T: Scalar> {
    global_step: GlobalStep,
    positions: Positions,
    /// By shard; `None` until it has come.
    states: Vec<Option<ShardState<T>>>,
    /// Another was asked for meanwhile.
    again: bool,
}

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// Has every shard send its state as of now. While one is under way, the newest wish is kept.
    pub(super) fn begin_save(self: &Arc<Self>, hub: &mut Hub<T>) {
        if let Some(saving) = &mut hub.saving {
            saving.again = true;
            return;
        }
        if self.settings.checkpoints.is_none() {
            return;
        }
        let mut states: Vec<_> = (0..self.settings.placement.shards()).map(|_| None).collect();
        states[0] = Some(self.shard().state());
        for link in &hub.links {
            link.send(proto::order::Order::Save(proto::SaveState {}));
        }
        hub.saving = Some(Saving {
            global_step: hub.coordinator.global_step(),
            positions: hub.coordinator.engine().positions(),
            states,
            again: false,
        });
        self.write_if_gathered(hub);
    }

    /// One of the other shards has sent its state.
    pub(super) fn link_saved(self: &Arc<Self>, server: usize, state: ShardState<T>) {
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        if let Some(slot) = hub.saving.as_mut().and_then(|it| it.states.get_mut(server)) {
            *slot = Some(state);
        }
        self.write_if_gathered(&mut hub);
    }

    /// A shard's state was lost on its way: another is gathered, as of now.
    pub(super) fn save_again(self: &Arc<Self>) {
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        if hub.saving.take().is_some() {
            self.begin_save(&mut hub);
        }
        self.finish_if_saved(&mut hub);
    }

    fn write_if_gathered(self: &Arc<Self>, hub: &mut Hub<T>) {
        let Some(saving) = &mut hub.saving else { return };
        if saving.states.iter().any(Option::is_none) {
            return;
        }
        let states: Vec<ShardState<T>> =
            saving.states.iter_mut().filter_map(Option::take).collect();
        crash_point!("coordinator/states-gathered");
        let global_step = saving.global_step;
        let positions = std::mem::take(&mut saving.positions);
        let node = Arc::clone(self);
        tokio::spawn(async move {
            node.write(states, global_step, positions);
        });
    }

    fn write(
        self: &Arc<Self>,
        states: Vec<ShardState<T>>,
        global_step: GlobalStep,
        positions: Positions,
    ) {
        let placement = &self.settings.placement;
        let state = gather(placement, &states, positions);
        let written = match state {
            Ok(state) => self.write_state(&state),
            Err(error) => Err(error.to_string()),
        };
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        let again = hub.saving.take().is_some_and(|saving| saving.again) && hub.serving;
        match written {
            Ok(()) => {
                self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::error!(error, step = %global_step, "no checkpoint was written");
                if !again && let Some(ending) = &mut hub.ending {
                    // What was trained is lost with the servers.
                    ending.failed = true;
                    ending.reason =
                        format!("{}, but no last checkpoint was written: {error}", ending.reason);
                }
            }
        }
        if again {
            self.begin_save(&mut hub);
        }
        self.finish_if_saved(&mut hub);
        self.saved.notify_one();
    }

    pub(super) fn write_state(&self, state: &TrainingState<T>) -> Result<(), String> {
        let Some(checkpoints) = &self.settings.checkpoints else { return Ok(()) };
        blocking(|| write_checkpoint(&checkpoints.folder, state, checkpoints.keep))
            .map(drop)
            .map_err(|error| words(&error))
    }
}

/// Runs what blocks without holding up other tasks, where the runtime has other threads.
pub(crate) fn blocking<R>(run: impl FnOnce() -> R) -> R {
    let several = tokio::runtime::Handle::try_current()
        .is_ok_and(|it| it.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if several { tokio::task::block_in_place(run) } else { run() }
}
