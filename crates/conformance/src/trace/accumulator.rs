//! Runs of one accumulator, dense or sparse by what is pushed.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Dtype, Operation, Tensor, nullable, numbered};

/// A run of an accumulator to which `P` is pushed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound = "P: DeserializeOwned")]
pub(crate) struct AccumulatorTrace<P> {
    #[serde(rename = "name")]
    _name: String,
    pub(crate) dtype: Dtype,
    /// -1 for an unknown dimension; `None` for an unknown rank.
    #[serde(deserialize_with = "nullable")]
    pub(crate) shape: Option<Vec<i64>>,
    pub(crate) reduction: Reduces,
    #[serde(deserialize_with = "numbered")]
    pub(crate) ops: Vec<Operation<AccumulatorCall<P>>>,
    pub(crate) still_pending: Vec<i64>,
}

/// What a take gives.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Reduces {
    Mean,
    Sum,
}

/// One call; variants without fields have braces so that fields are refused.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum AccumulatorCall<P> {
    ApplyGrad(P),
    TakeGrad { num_required: i64, id: i64 },
    SetGlobalStep { step: i64 },
    NumAccumulated {},
}

/// A dense gradient with its local step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DensePush {
    pub(crate) local_step: i64,
    pub(crate) grad: Tensor,
}

/// A sparse gradient with its local step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SparsePush {
    pub(crate) local_step: i64,
    pub(crate) indices: Vec<i64>,
    pub(crate) values: Tensor,
    /// `None` for a gradient that came without one.
    #[serde(deserialize_with = "nullable")]
    pub(crate) dense_shape: Option<Vec<i64>>,
}
