//! Why a server could not do as it was told, as far as the coordinator makes a difference.

use std::fmt;

use sync_replicas::{UpdateError, describe};

use crate::shard::ShardError;

/// An order that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// An update is infinite or NaN: what was saved before may be of the same kind (P-25).
    NotFinite(String),
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite(reason) | Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl From<ShardError> for Failure {
    fn from(error: ShardError) -> Self {
        match error {
            ShardError::Update(UpdateError::NotFinite(found)) => Self::NotFinite(found.to_string()),
            other => Self::Other(describe(&other)),
        }
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}
