//! A checkpoint of the whole cluster: every shard's state at one step, gathered, then written.
//!
//! The order to save stands among the updates, so all shards save the same step, and training goes
//! on meanwhile. Invariant: what is on disk, or on its way there, is not saved once more.

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
    /// How many updates had been ordered when it began.
    updates: u64,
    /// By shard.
    states: Vec<Part<T>>,
    /// What it is for was asked for once more, after an update.
    again: bool,
}

/// The newest checkpoint, and one that is known to be good (P-25).
const KEPT: usize = 2;

/// One shard's part of a checkpoint.
enum Part<T: Scalar> {
    /// Comes as the answer to the order of this number, and to no other: one that was asked for
    /// before may be of another step.
    Ordered(u64),
    Here(Box<ShardState<T>>),
    /// It is being written.
    Taken,
}

impl<T: Scalar> Saving<T> {
    /// Whether all states are there and on their way to the disk.
    pub(super) fn is_written(&self) -> bool {
        self.states.iter().all(|part| matches!(part, Part::Taken))
    }
}

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// Somebody wishes for a checkpoint of now; while the servers start or recover, of then.
    pub(super) fn wish_to_save(self: &Arc<Self>, hub: &mut Hub<T>) {
        if !hub.serving {
            hub.wishes.save = true;
        } else if !self.is_over() {
            self.begin_save(hub);
        }
    }

    /// The same, wished of this process.
    pub(crate) fn save_wished(self: &Arc<Self>) {
        if let Some(hub) = &self.hub {
            self.wish_to_save(&mut lock(hub));
        }
    }

    /// Has every shard send its state as of now, unless that is saved or being saved.
    pub(super) fn save_if_new(self: &Arc<Self>, hub: &mut Hub<T>) {
        if hub.saving.is_some() || hub.saved != Some(hub.updates) {
            self.begin_save(hub);
        }
    }

    /// Has every shard send its state as of now. While one is under way, the newest wish is kept.
    pub(super) fn begin_save(self: &Arc<Self>, hub: &mut Hub<T>) {
        if let Some(saving) = &mut hub.saving {
            saving.again |= saving.updates != hub.updates;
            return;
        }
        if self.settings.checkpoints.is_none() {
            return;
        }
        let own = match self.whole_state() {
            Ok(own) => own,
            Err(reason) => return tracing::error!(reason, "no checkpoint can be taken"),
        };
        // An update that was ordered and not yet answered is in the state.
        let positions = hub.coordinator.engine().positions(own.global_step);
        let own = Part::Here(Box::new(own));
        let save = || proto::order::Order::Save(proto::SaveState {});
        let others = hub.links.iter().map(|link| Part::Ordered(link.send(save())));
        hub.saving = Some(Saving {
            global_step: hub.coordinator.global_step(),
            positions,
            updates: hub.updates,
            states: std::iter::once(own).chain(others).collect(),
            again: false,
        });
        self.write_if_gathered(hub);
    }

    /// One of the other shards has sent its state, as an order of this number said.
    pub(super) fn link_saved(
        self: &Arc<Self>,
        (server, order): (usize, u64),
        state: ShardState<T>,
    ) {
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        if let Some(part) = hub.part_of(server, order) {
            *part = Part::Here(Box::new(state));
            self.write_if_gathered(&mut hub);
        }
    }

    /// The state that an order of this number asked for was lost on its way: all are gathered
    /// anew, as of now.
    pub(super) fn save_again(self: &Arc<Self>, server: usize, order: u64) {
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        if hub.part_of(server, order).is_some() {
            hub.saving = None;
            self.begin_save(&mut hub);
        }
    }

    fn write_if_gathered(self: &Arc<Self>, hub: &mut Hub<T>) {
        let Some(saving) = &mut hub.saving else { return };
        if !saving.states.iter().all(|part| matches!(part, Part::Here(_))) {
            return;
        }
        let states = saving.states.iter_mut().map(|part| std::mem::replace(part, Part::Taken));
        let here = |part| match part {
            Part::Here(state) => Some(*state),
            Part::Ordered(_) | Part::Taken => None,
        };
        let states: Vec<ShardState<T>> = states.filter_map(here).collect();
        crash_point!("coordinator/states-gathered");
        let global_step = saving.global_step;
        let positions = std::mem::take(&mut saving.positions);
        let (node, run) = (Arc::clone(self), hub.run);
        tokio::spawn(async move {
            let state = gather(&node.settings.placement, &states, positions);
            let state = state.map(|state| TrainingState { run: Some(run), ..state });
            node.write(state.map_err(|error| error.to_string()), global_step);
        });
    }

    fn write(self: &Arc<Self>, state: Result<TrainingState<T>, String>, global_step: GlobalStep) {
        let written = state.and_then(|state| self.write_state(&state));
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        // A generation begins once this is done, so it is the one that was taken.
        let Some(saving) = hub.saving.take() else { return };
        let mut again = saving.again && hub.serving;
        match &written {
            Ok(()) => {
                hub.saved = Some(saving.updates);
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
        let leave = match &written {
            Ok(()) => hub.coordinator.saved(saving.updates),
            Err(_) if again => Vec::new(),
            Err(_) => hub.coordinator.nothing_is_saved(),
        };
        // Of those who go nothing can be saved any more.
        again &= leave.is_empty();
        self.let_go(&hub, leave, &written.err().unwrap_or_default());
        if again {
            self.begin_save(&mut hub);
        }
        self.finish_if_saved(&mut hub);
        self.saved.notify_one();
    }

    pub(super) fn write_state(&self, state: &TrainingState<T>) -> Result<(), String> {
        let Some(checkpoints) = &self.settings.checkpoints else { return Ok(()) };
        blocking(|| write_checkpoint(&checkpoints.folder, state, checkpoints.keep.max(KEPT)))
            .map(drop)
            .map_err(|error| words(&error))
    }
}

impl<T: Scalar> Hub<T> {
    /// A server has no state to send, since an update of it failed: nobody will ever have them all.
    pub(super) fn lose_part(&mut self, server: usize, order: u64) {
        if self.part_of(server, order).is_some() {
            tracing::error!(server, "a server's state cannot be had; no checkpoint is written");
            self.saving = None;
        }
    }

    /// The part that this order asked for, if it is still waited for.
    fn part_of(&mut self, server: usize, order: u64) -> Option<&mut Part<T>> {
        let part = self.saving.as_mut()?.states.get_mut(server)?;
        matches!(part, Part::Ordered(number) if *number == order).then_some(part)
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests;

/// Runs what blocks without holding up other tasks, where the runtime has other threads.
pub(crate) fn blocking<R>(run: impl FnOnce() -> R) -> R {
    let several = tokio::runtime::Handle::try_current()
        .is_ok_and(|it| it.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if several { tokio::task::block_in_place(run) } else { run() }
}
