//! What a serving process must know.

use std::sync::Arc;
use std::time::Duration;

use sync_replicas::checkpoint::RunId;
use sync_replicas::driver::{Generation, ServerDuties};
use sync_replicas::engine::Config;
use sync_replicas::record::Record;

use crate::Agreement;
use crate::client::Connector;
use crate::coordinator::{Coordinator, CoordinatorSettings, batch_size};
use crate::index::ServerIndex;
use crate::number_format::NumberFormat;
use crate::placement::Placement;
use crate::security::Guard;

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
    pub wire: NumberFormat,
    /// How the leader reaches the others.
    pub connector: Connector,
    /// When to end, and where checkpoints go and how often.
    pub duties: ServerDuties,
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

    /// The coordinator of such a training, whose shards make receipts with this secret.
    pub(super) fn coordinator(&self, secret: u64) -> Coordinator {
        let ServerDuties { last_step, nan_guard, .. } = self.duties;
        let settings = CoordinatorSettings {
            variables: self.variables,
            shards: self.placement.shards(),
            secret,
            batch: self.batch(),
            last_step,
            nan_guard,
            ..CoordinatorSettings::new(self.config.clone())
        };
        Coordinator::new(settings, Generation::default())
    }
}
