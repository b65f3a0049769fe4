//! What a replica's protocol is told at its start.

use std::time::Duration;

use sync_replicas::ReplicaId;

/// What a replica's protocol must know.
#[derive(Clone, Debug)]
pub struct ProtocolSettings {
    /// Which replica it is.
    pub replica: ReplicaId,
    /// Drawn for this life of the replica's process.
    pub process: u64,
    /// Where servers are, for messages; the first is the coordinator's.
    pub addresses: Vec<String>,
    /// How long servers may be out of reach before the replica fails.
    pub reconnect_timeout: Duration,
    /// Whether work of a step that is over is given up (P-13).
    pub tell_superseded: bool,
    /// Whether it is to be told of every step that is made.
    pub follows: bool,
    /// Whether variables are asked for with all bits, also where they travel rounded.
    pub all_bits: bool,
}
