//! A look at one parameter server, for `status` and for metrics.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use sync_replicas::Scalar;

use super::leader::Leader;
use super::leader::server_handle::ServerHandle;
use super::process::Server;
use super::usage::Usage;
#[cfg(test)]
use crate::coordinator::Coordinator;
use crate::coordinator::Status;
use crate::security::DenialCounts;

/// A look at one parameter server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// What its process needs.
    pub usage: Usage,
    /// Snapshots sent so far.
    pub snapshots: u64,
    /// Invalid messages.
    pub bad_messages: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Checkpoints that failed (ps 0).
    pub failed_checkpoints: u64,
    /// Why the newest of them failed, if no later one was written (ps 0).
    pub checkpoint_error: Option<String>,
    /// Updates a second, lately (ps 0).
    pub updates_per_second: Option<f64>,
    /// What training still needs to begin, if anything: a program, or the chief's initial values.
    pub waiting_for: Option<String>,
    /// Whether all shards are ready (ps 0).
    pub serving: Option<bool>,
    /// All parameter servers, as ps 0 sees them (ps 0).
    pub servers: Vec<ServerPresence>,
    /// Calls refused for want of the key, if one is required.
    pub refusals: Option<DenialCounts>,
    /// The coordinator (ps 0).
    pub coordinator: Option<Status>,
}

/// What a server without a program awaits, before it can begin.
pub(super) const PROGRAM: &str = "a program, with the first worker";
const VALUES: &str = "the chief's initial values";

/// Whether a parameter server is connected, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerPresence {
    /// Which one.
    pub server: usize,
    /// Whether it is connected; ps 0 is, with itself.
    pub up: bool,
    /// How many seconds that has been so.
    pub seconds: f64,
    /// What its process needed when it was last heard of, if ever.
    pub usage: Option<Usage>,
}

impl<T: Scalar> Server<T> {
    /// The coordinator's generation and step.
    #[cfg(test)]
    pub(crate) fn version(&self) -> Option<(u64, i64)> {
        let version = |it: &Coordinator| (it.generation().get(), it.global_step().get());
        Some(self.leader()?.with(|leader| version(&leader.coordinator)))
    }

    /// A look at everything.
    #[must_use]
    pub fn status(&self) -> ServerStatus {
        let (snapshot, staged_bytes) = {
            let shard = self.own.shard();
            (shard.snapshot(), shard.staged_bytes())
        };
        let parts = self.own.placement.parts(self.own.index.get());
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.own.counters;
        let status = ServerStatus {
            server: self.own.index.get(),
            generation: snapshot.generation.get(),
            global_step: snapshot.global_step.get(),
            parts: parts.len(),
            elements: parts.iter().map(crate::placement::Part::elements).sum(),
            staged_bytes,
            connected: self.own.connections().replicas().len(),
            usage: self.own.usage(),
            snapshots: count(&counters.snapshots),
            bad_messages: count(&counters.bad_messages),
            refusals: self.settings.guard.as_ref().map(|guard| guard.denials()),
            ..ServerStatus::default()
        };
        let Some(leader) = self.leader() else { return status };
        leader.with(|leader| ServerStatus {
            checkpoints: leader.saving.written,
            failed_checkpoints: leader.saving.failed,
            checkpoint_error: leader.saving.error.clone(),
            waiting_for: leader.waits_for_values().then(|| VALUES.to_owned()),
            updates_per_second: Some(leader.history.updates_per_second()),
            // A step needs every server.
            serving: Some(leader.is_serving() && leader.servers.iter().all(|it| it.is_here())),
            coordinator: Some(leader.coordinator.status(leader.now())),
            servers: leader.presences(status.usage),
            ..status
        })
    }
}

impl<T: Scalar> Leader<T> {
    /// All servers, with what this process's own needs.
    fn presences(&self, own: Usage) -> Vec<ServerPresence> {
        let presence = |(server, handle): (usize, &ServerHandle<T>)| {
            let lasts = handle.state_lasts().unwrap_or_else(|| self.now());
            ServerPresence {
                server,
                up: handle.is_here(),
                seconds: lasts.as_secs_f64(),
                usage: handle.usage().or(handle.is_local().then_some(own)),
            }
        };
        self.servers.iter().enumerate().map(presence).collect()
    }
}
