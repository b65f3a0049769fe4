//! What a serving process must know.

use std::sync::Arc;
use std::time::Duration;

use sync_replicas::GlobalStep;
use sync_replicas::checkpoint::Checkpoints;
use sync_replicas::checkpoint::RunId;
use sync_replicas::driver::Generation;
use sync_replicas::engine::Config;
use sync_replicas::record::Record;

use crate::Agreement;
use crate::client::Connector;
use crate::coordinator::{Coordinator, batch_size};
use crate::index::ServerIndex;
use crate::placement::Placement;
use crate::security::Guard;
use crate::shard::Wire;

/// What a parameter server must know, and number 0 for its leader.
pub struct ServerSettings {
    /// Which server it is; number 0 has the leader.
    pub index: ServerIndex,
    /// Which server owns which parts.
    pub placement: Arc<Placement>,
    /// What all processes must agree on.
    pub agreement: Agreement,
    /// The engine's settings.
    pub config: Config,
    /// The run that checkpoints belong to, until the server goes on from one.
    pub run: RunId,
    /// Where to record what happens, if anywhere; by the leader alone.
    pub record: Option<Record>,
    /// Whether the servers have no program of their own, and the chief sends initial values.
    pub values_from_chief: bool,
    /// How many variables there are.
    pub variables: usize,
    /// How numbers travel.
    pub wire: Wire,
    /// How the leader reaches the others.
    pub reach: Connector,
    /// Where checkpoints go and how often; `None` for none.
    pub checkpoints: Option<Checkpoints>,
    /// The update to end after.
    pub last_step: Option<i64>,
    /// Whether to end when the loss is NaN or infinite.
    pub nan_guard: bool,
    /// How long a server waits for missing ones.
    pub reconnect_timeout: Duration,
    /// How many contributions may be staged at once.
    pub staging: usize,
    /// What asks callers for the key, if anything: for its counts.
    pub guard: Option<Arc<Guard>>,
}

impl std::fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSettings")
            .field("index", &self.index)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl ServerSettings {
    /// How many decisions the coordinator sends together.
    ///
    /// Where there is room for few contributions, those that wait to be sent take some of it; at
    /// least one place is for replicas still to come, beside those of replicas that are stuck.
    fn batch(&self) -> usize {
        let (needed, replicas) =
            (self.config.settings().replicas_to_aggregate, self.config.total_num_replicas());
        let stuck = replicas.saturating_sub(needed);
        match self.placement.shards() {
            // A call costs nothing.
            1 => 1,
            _ if self.staging >= replicas => batch_size(needed, usize::MAX),
            _ => batch_size(needed, self.staging.saturating_sub(stuck + 1)),
        }
    }

    /// When training should end: after which update, and whether when the loss is NaN.
    pub(super) fn duties(&self) -> (Option<i64>, bool) {
        (self.last_step, self.nan_guard)
    }

    /// The coordinator of such a training, whose shards make receipts with this secret.
    pub(super) fn coordinator(&self, secret: u64) -> Coordinator {
        let (config, shards) = (self.config.clone(), self.placement.shards());
        let (step, generation) = (GlobalStep::default(), Generation::new(0));
        let mut coordinator = Coordinator::new(config, self.variables, shards, step, generation);
        coordinator.set_secret(secret);
        if let Some(last) = self.last_step {
            coordinator.set_last_step(last);
        }
        coordinator.set_nan_guard(self.nan_guard);
        coordinator.set_batch(self.batch());
        coordinator
    }
}
