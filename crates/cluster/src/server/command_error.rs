//! Why a parameter server could not carry out an order.

use sync_replicas::checkpoint::{CheckpointError, RunId};
use sync_replicas::driver::describe;
use sync_replicas::error::TableError;
use sync_replicas::error::UpdateError;

use super::transfer::TransferError;
use crate::shard::{BeginError, ShardError, StateError};
use crate::wire::WireError;

/// An order that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// An update is infinite or NaN: earlier checkpoints may be affected too (P-25).
    #[error("{0}")]
    NotFinite(String),
    #[error("{}", describe(.0))]
    Shard(ShardError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Run(#[from] OtherRun),
    #[error("an update failed; what this server holds is of no one step")]
    NotWhole,
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error("{}", describe(.0))]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Tables(#[from] TableError),
    #[error(
        "this server has no folder of checkpoints, and the rows of its tables go there; give all \
         parameter servers the same --checkpoint-dir"
    )]
    NoFolder,
    #[error("a state was announced and did not come, or came unasked")]
    OtherState,
    #[error("an order that this version does not know")]
    Unknown,
    /// What another server has written is not told as tables.
    #[error(transparent)]
    Rows(#[from] serde_json::Error),
    /// In another server's words.
    #[error("{0}")]
    There(String),
}

/// A server belongs to the run of its updates, and this is another.
#[derive(Debug, thiserror::Error)]
#[error(
    "parameter server {server} has served run {served}, and this coordinator is of run {got}; \
     compare their addresses, and start the server anew if it is to serve that run"
)]
pub(super) struct OtherRun {
    pub(super) server: usize,
    pub(super) served: RunId,
    pub(super) got: RunId,
}

impl From<ShardError> for CommandError {
    fn from(error: ShardError) -> Self {
        match error {
            ShardError::Update(UpdateError::NotFinite(found)) => Self::NotFinite(found.to_string()),
            other => Self::Shard(other),
        }
    }
}
