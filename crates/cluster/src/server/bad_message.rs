//! A message that no replica of ours sends; it closes the connection.

use super::transfer::TransferError;
use crate::wire::WireError;

/// Why a message is invalid.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadMessage {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("a second hello on one connection")]
    SecondHello,
    #[error("what was recorded was asked for twice on one connection")]
    SecondRecall,
    #[error("unrequested initial values")]
    NotAsked,
    #[error("initial values: {0}")]
    InitialValues(#[from] TransferError),
    #[error("a {what} for the coordinator, which is ps 0")]
    NotHere { what: &'static str },
    #[error("a message that a replica does not send")]
    NotAReplicas,
    #[error("rows were looked up: {what}")]
    Lookup { what: String },
    #[error("{got} sections came, expected at most {most}, one a part")]
    Sections { got: usize, most: usize },
}
