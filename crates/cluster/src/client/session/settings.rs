//! What a session is told, and what its calls fail with.

use std::time::Duration;

use sync_replicas::ReplicaId;

use crate::client::GradientError;
use crate::shard::Wire;

/// What a session must know beside the servers.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Which replica it is.
    pub replica: ReplicaId,
    /// A number that a later process of the same replica has a higher one of.
    pub process: u64,
    /// What all processes must agree on.
    pub fingerprint: Vec<u8>,
    /// How numbers travel.
    pub wire: Wire,
    /// How long servers may be out of reach before the replica gives up.
    pub patience: Duration,
    /// How often it says that it lives; well below the lease.
    pub heartbeat: Duration,
    /// Whether work of a step that is over is given up (P-13).
    pub tell_superseded: bool,
    /// Whether gradients are looked at before they are sent, and left out where they are not finite
    /// (P-25).
    pub skips_not_finite: bool,
}

/// Why a wait for the next step ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// A server could not be reached for too long.
    #[error("ps {server} at {address} was out of reach for {seconds:.0} s: {reason}")]
    Unreachable {
        /// Which one.
        server: usize,
        /// Where.
        address: String,
        /// How long it was tried.
        seconds: f64,
        /// What the last attempt said.
        reason: String,
    },
    /// The cluster does not take this replica.
    #[error("the cluster refused this replica: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The step took too long (P-5).
    #[error("{reason}")]
    Overdue {
        /// Who is missing.
        reason: String,
    },
    /// Training failed.
    #[error("training failed: {reason}")]
    Failed {
        /// Why.
        reason: String,
    },
}

/// Why a push has no outcome.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The gradients do not fit; nothing was sent, and the token was given back.
    #[error(transparent)]
    Gradient(#[from] GradientError),
    /// The cluster refused it.
    #[error("the push was refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The replica has joined anew meanwhile: whether it counts is unknown, or it belongs to an
    /// earlier life. The next step joins again.
    #[error("the push was lost: {reason}")]
    Lost {
        /// How.
        reason: String,
    },
    /// Training ended meanwhile.
    #[error("training has ended")]
    Ended,
    /// Servers are out of reach.
    #[error(transparent)]
    Wait(#[from] WaitError),
}
