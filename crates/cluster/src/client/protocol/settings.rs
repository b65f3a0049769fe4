//! What a replica's protocol needs at its start.

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
    /// Whether to give up work of a step that is over (P-13).
    pub tell_superseded: bool,
    /// Whether to tell it of every step that is made.
    pub follows: bool,
    /// Whether to ask for variables with all bits, even where they travel rounded.
    pub all_bits: bool,
}
