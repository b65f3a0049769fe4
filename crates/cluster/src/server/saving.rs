//! A checkpoint of the whole cluster: every shard's state at one step, gathered, then written.
//!
//! The order to save stands among the updates, so all shards save the same step, and training goes
//! on meanwhile. Invariant: what is on disk, or on its way there, is not saved once more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sync_replicas::checkpoint::TrainingState;
use sync_replicas::engine::Positions;
use sync_replicas::{CheckpointError, FailedSave, GlobalStep, Scalar};

use super::hub::Hub;
use super::node::{Node, lock};
use crate::client::words;
use crate::crash::write_checkpoint;
use crate::proto;
use crate::proto::to_replica::Message;
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

/// Pauses before the last save is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The last save has failed, and is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    /// Not later than this.
    until: Duration,
    /// Before the next time.
    pause: Duration,
}

/// Why a checkpoint was not written.
#[derive(Clone, Debug)]
pub(super) struct NotSaved {
    pub(super) reason: String,
    /// Another process has gone on from the folder.
    replaced: bool,
}

impl From<String> for NotSaved {
    fn from(reason: String) -> Self {
        Self { reason, replaced: false }
    }
}

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
        let written = state.map_err(NotSaved::from).and_then(|state| self.write_state(&state));
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        // A generation begins once this is done, so it is the one that was taken.
        let Some(saving) = hub.saving.take() else { return };
        let mut again = saving.again && hub.serving;
        let mut later = false;
        match &written {
            Ok(()) => {
                (hub.saved, hub.retry, hub.save_error) = (Some(saving.updates), None, None);
                self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.note_failed(&mut hub, global_step, error);
                later = !again && hub.ending.is_some() && self.try_later(&mut hub, error);
                if !again
                    && !later
                    && let Some(ending) = &mut hub.ending
                {
                    // What was trained is lost with the servers.
                    ending.failed = true;
                    ending.reason = format!(
                        "{}, but no last checkpoint was written: {}",
                        ending.reason, error.reason
                    );
                }
            }
        }
        let leave = match &written {
            Ok(()) => hub.coordinator.saved(saving.updates),
            Err(_) if again || later => Vec::new(),
            Err(_) => hub.coordinator.nothing_is_saved(),
        };
        // Of those who go nothing can be saved any more.
        again &= leave.is_empty();
        self.let_go(&hub, leave, &written.err().map(|it| it.reason).unwrap_or_default());
        if again {
            self.begin_save(&mut hub);
        }
        self.finish_if_saved(&mut hub);
        self.saved.notify_one();
    }

    /// Tells of a checkpoint that was not written, wherever somebody looks.
    fn note_failed(&self, hub: &mut Hub<T>, step: GlobalStep, error: &NotSaved) {
        let reason = error.reason.clone();
        tracing::error!(reason, %step, "no checkpoint was written");
        self.counters.failed_checkpoints.fetch_add(1, Ordering::Relaxed);
        let step = step.get();
        let told = proto::SaveFailed { step, reason: reason.clone() };
        self.posts().send_to_all(&Message::SaveFailed(told));
        if let Some(record) = &self.settings.record {
            record.add_failed_save(FailedSave { step, reason: reason.clone() });
        }
        if error.replaced {
            // It has nothing more to write, and nothing to tell.
            let _ = self.replaced.set(reason.clone());
            self.gave_up.notify_one();
        }
        hub.save_error = Some(reason);
    }

    /// Has the last save tried again, if that may help and there is time; whether it is.
    fn try_later(self: &Arc<Self>, hub: &mut Hub<T>, error: &NotSaved) -> bool {
        let (now, patience) = (self.now(), self.settings.patience);
        let new = Retry { until: now.saturating_add(patience), pause: FIRST_PAUSE };
        let retry = hub.retry.get_or_insert(new);
        let pause = retry.pause;
        if error.replaced || now.saturating_add(pause) > retry.until {
            hub.retry = None;
            return false;
        }
        retry.pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        let node = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let Some(hub) = &node.hub else { return };
            let mut hub = lock(hub);
            if hub.retry.is_some() && hub.ending.is_some() {
                node.begin_save(&mut hub);
            }
        });
        true
    }

    pub(super) fn write_state(&self, state: &TrainingState<T>) -> Result<(), NotSaved> {
        let Some(checkpoints) = &self.settings.checkpoints else { return Ok(()) };
        let keep = checkpoints.keep.max(KEPT);
        match blocking(|| write_checkpoint(&checkpoints.folder, state, keep)) {
            Ok(_) => Ok(()),
            Err(error) => {
                let replaced = matches!(error, CheckpointError::Replaced { .. });
                Err(NotSaved { reason: words(&error), replaced })
            }
        }
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
