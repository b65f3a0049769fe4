//! The format of traces: one struct a kind, read strictly.
//!
//! Data only. Invariant: a kind, an operation or a field that is not known here is an error when
//! the trace is read, so that nothing recorded is passed over in silence.

mod accumulator;
mod average;
mod optimizer;
mod outcome;
mod queue;
mod replicas;
mod script;
mod tensor;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub(crate) use accumulator::{AccumulatorCall, AccumulatorTrace, DensePush, Reduces, SparsePush};
pub(crate) use average::AverageTrace;
pub(crate) use optimizer::{Formula, OptimizerTrace, OptimizerUpdate};
pub(crate) use outcome::{ErrorClass, Outcome, Slices};
pub(crate) use queue::{QueueCall, QueueTrace};
pub(crate) use replicas::{ReplicasEvent, ReplicasPush, ReplicasState, ReplicasTrace};
pub(crate) use script::{Completion, Operation};
pub(crate) use tensor::{Dtype, Tensor};

/// A recorded run of any kind.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Trace {
    DenseAccumulator(AccumulatorTrace<DensePush>),
    SparseAccumulator(AccumulatorTrace<SparsePush>),
    TokenQueue(QueueTrace),
    Optimizer(OptimizerTrace),
    MovingAverage(AverageTrace),
    SyncReplicas(ReplicasTrace),
}

/// For a field that may be null and must be there.
fn nullable<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

/// For a list of operations: an error says which of them it is in.
fn numbered<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let items = Vec::<Value>::deserialize(deserializer)?;
    let read = |(number, item)| {
        serde_json::from_value(item)
            .map_err(|error| D::Error::custom(format_args!("operation {number}: {error}")))
    };
    items.into_iter().enumerate().map(read).collect()
}
