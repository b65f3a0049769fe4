//! A look at one parameter server, for `status` and for metrics.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use sync_replicas::Scalar;

use super::node::{Node, lock};
use crate::coordinator::Status;
use crate::security::RefusalCounts;

/// A look at one parameter server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Which one.
    pub server: usize,
    /// The life of the shared state that its shard is in.
    pub generation: u64,
    /// The step of its variables.
    pub global_step: i64,
    /// The parts of variables that it owns, and their elements.
    pub parts: usize,
    /// All elements of those parts.
    pub elements: usize,
    /// Bytes of contributions that are not committed.
    pub staged_bytes: usize,
    /// Replicas that are connected.
    pub connected: usize,
    /// Payload bytes received so far.
    pub received_bytes: u64,
    /// Snapshots sent so far.
    pub snapshots: u64,
    /// Messages that made no sense.
    pub bad_messages: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Checkpoints that were not written, though they should have been (ps 0).
    pub failed_checkpoints: u64,
    /// Why the newest of them was not, if no later one was written (ps 0).
    pub checkpoint_error: Option<String>,
    /// Updates a second, lately (ps 0).
    pub updates_per_second: Option<f64>,
    /// Whether all shards are ready (ps 0).
    pub serving: Option<bool>,
    /// Calls that were refused for want of the key, where one is asked for.
    pub refusals: Option<RefusalCounts>,
    /// The coordinator (ps 0).
    pub coordinator: Option<Status>,
}

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// The coordinator's generation and step.
    #[cfg(test)]
    pub(crate) fn version(&self) -> Option<(u64, i64)> {
        let hub = lock(self.hub.as_ref()?);
        Some((hub.coordinator.generation().get(), hub.coordinator.global_step().get()))
    }

    /// A look at everything.
    #[must_use]
    pub fn status(&self) -> ServerStatus {
        let (coordinator, pace, serving, checkpoint_error) = match &self.hub {
            Some(hub) => {
                let hub = lock(hub);
                let status = hub.coordinator.status(self.now());
                let pace = hub.updates_per_second();
                (Some(status), Some(pace), Some(hub.serving), hub.save_error.clone())
            }
            None => (None, None, None, None),
        };
        let (snapshot, staged_bytes) = {
            let shard = self.shard();
            (shard.snapshot(), shard.staged_bytes())
        };
        let parts = self.settings.placement.parts(self.settings.index);
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        ServerStatus {
            server: self.settings.index,
            generation: snapshot.generation.get(),
            global_step: snapshot.global_step.get(),
            parts: parts.len(),
            elements: parts.iter().map(crate::placement::Part::elements).sum(),
            staged_bytes,
            connected: self.posts().replicas().len(),
            received_bytes: count(&self.counters.received_bytes),
            snapshots: count(&self.counters.snapshots),
            bad_messages: count(&self.counters.bad_messages),
            checkpoints: count(&self.counters.checkpoints),
            failed_checkpoints: count(&self.counters.failed_checkpoints),
            checkpoint_error,
            updates_per_second: pace,
            serving,
            refusals: self.settings.guard.as_ref().map(|guard| guard.refusals()),
            coordinator,
        }
    }
}
