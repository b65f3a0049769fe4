//! Why a server's process ended.

use std::net::SocketAddr;

/// Why a server ended other than by the end of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It cannot listen at the address.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The transport failed.
    #[error("the server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The coordinator, or for it another server, was gone for too long; training may be over.
    #[error("other parameter servers were gone for {seconds:.0} s")]
    Abandoned {
        /// How long they were waited for.
        seconds: f64,
    },
    /// It was asked to end, and what it holds is in no checkpoint.
    #[error(
        "asked to end, and no checkpoint was written: {reason}; training goes on from the one \
         before"
    )]
    Unsaved {
        /// The reason.
        reason: String,
    },
    /// Another process has gone on from its checkpoints, and trains in its place.
    #[error("{reason}")]
    Replaced {
        /// How that showed.
        reason: String,
    },
    /// Another parameter server does not accept this coordinator.
    #[error("the cluster refused this coordinator: {reason}")]
    Refused {
        /// The reason.
        reason: String,
    },
    /// Training failed.
    #[error("training failed: {reason}")]
    Failed {
        /// The reason.
        reason: String,
    },
}
