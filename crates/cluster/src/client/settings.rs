//! What a replica is told.

use std::time::Duration;

use sync_replicas::ReplicaId;
use sync_replicas::driver::ServerDuties;

use crate::Agreement;
use crate::number_format::NumberFormat;

/// What a replica must know beside the servers.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// Which replica it is.
    pub replica: ReplicaId,
    /// Drawn for this life of the replica's process.
    pub process: u64,
    /// What all processes must agree on.
    pub agreement: Agreement,
    /// What a server without its own program also has to do.
    pub duties: ServerDuties,
    /// How numbers travel.
    pub wire: NumberFormat,
    /// How long servers may be out of reach before the replica fails.
    pub reconnect_timeout: Duration,
    /// How often it sends a heartbeat; well below the lease.
    pub heartbeat: Duration,
    /// Whether to give up work of a step that is over (P-13).
    pub tell_superseded: bool,
    /// Whether to check gradients before they are sent, and leave out those that are not finite
    /// (P-25).
    pub skips_not_finite: bool,
}
