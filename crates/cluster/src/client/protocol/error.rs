//! The errors of a replica's waits and pushes.

use crate::client::GradientError;

/// Why a wait for the next step ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// A server could not be reached for too long.
    #[error("ps {server} at {address} was out of reach for {seconds:.0} s: {reason}")]
    Unreachable {
        /// Which one.
        server: usize,
        /// Its address.
        address: String,
        /// For how long it was tried.
        seconds: f64,
        /// What the last attempt said.
        reason: String,
    },
    /// The cluster did not take this replica in for too long, and might later.
    #[error("the cluster did not let this replica in for {seconds:.0} s: {reason}")]
    NotLetIn {
        /// For how long it was tried.
        seconds: f64,
        /// Its last answer.
        reason: String,
    },
    /// Another process has taken the place of this one.
    #[error("{reason}")]
    Replaced {
        /// In the cluster's words.
        reason: String,
    },
    /// The cluster does not take this replica.
    #[error("the cluster refused this replica: {reason}")]
    Refused {
        /// The reason.
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
        /// The reason.
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
        /// The reason.
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
