//! Runs of one token queue.

use serde::Deserialize;

use super::{Operation, numbered};

/// A run of a queue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueTrace {
    #[serde(rename = "name")]
    _name: String,
    /// Negative for a queue without bound.
    pub(crate) capacity: i64,
    #[serde(deserialize_with = "numbered")]
    pub(crate) ops: Vec<Operation<QueueCall>>,
    pub(crate) still_pending: Vec<i64>,
}

/// One call; variants without fields have braces so that fields are refused.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum QueueCall {
    Enqueue { value: i64, id: i64 },
    EnqueueMany { values: Vec<i64>, id: i64 },
    Dequeue { id: i64 },
    DequeueMany { n: i64, id: i64 },
    DequeueUpTo { n: i64, id: i64 },
    Size {},
    IsClosed {},
    Close { cancel_pending_enqueues: bool, id: i64 },
}
