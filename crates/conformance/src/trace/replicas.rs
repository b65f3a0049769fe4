//! Runs of the whole composition, one event at a time.

use serde::Deserialize;
use serde_json::Value;

use super::{Dtype, Formula, Tensor, nullable, numbered};

/// A run of replicas over one dense and one sparse variable.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplicasTrace {
    #[serde(rename = "name")]
    _name: String,
    pub(crate) dtype: Dtype,
    optimizer: String,
    params: Value,
    pub(crate) replicas_to_aggregate: usize,
    pub(crate) total_num_replicas: usize,
    /// Initial tokens; -1 for the default.
    pub(crate) num_tokens: i64,
    /// `None` when no averages are kept.
    #[serde(deserialize_with = "nullable")]
    pub(crate) ema_decay: Option<f64>,
    pub(crate) initial_dense: Tensor,
    pub(crate) initial_sparse: Tensor,
    #[serde(deserialize_with = "numbered")]
    pub(crate) events: Vec<ReplicasEvent>,
}

/// What happened, and how everything stood afterwards.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ReplicasEvent {
    /// Every replica's hook has run.
    Start { state: Box<ReplicasState> },
    /// A replica pushed.
    Push(Box<ReplicasPush>),
}

/// One step of one replica: a push, then a wait for a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplicasPush {
    pub(crate) id: i64,
    pub(crate) replica: usize,
    pub(crate) dense: Tensor,
    pub(crate) indices: Vec<i64>,
    pub(crate) values: Tensor,
    /// The pushes whose wait has ended by then.
    pub(crate) returned: Vec<i64>,
    pub(crate) state: ReplicasState,
}

/// Everything that can be looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplicasState {
    pub(crate) global_step: i64,
    pub(crate) dense: Tensor,
    pub(crate) sparse: Tensor,
    /// Gradients held for the dense and for the sparse variable.
    pub(crate) accumulated: [u64; 2],
    /// Tokens in the queue.
    pub(crate) tokens: usize,
    pub(crate) local_steps: Vec<i64>,
    pub(crate) average_dense: Option<Tensor>,
    pub(crate) average_sparse: Option<Tensor>,
}

impl ReplicasTrace {
    /// The wrapped optimizer.
    pub(crate) fn formula(&self) -> Result<Formula, serde_json::Error> {
        Formula::read(&self.optimizer, &self.params)
    }
}
