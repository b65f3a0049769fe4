//! Runs of one optimizer on one variable, and the formulas that they name.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Dtype, Tensor, numbered};

/// A run of an optimizer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptimizerTrace {
    #[serde(rename = "name")]
    _name: String,
    optimizer: String,
    params: Value,
    pub(crate) dtype: Dtype,
    /// Whether every gradient comes as rows with their indices.
    pub(crate) sparse: bool,
    pub(crate) initial: Tensor,
    pub(crate) slot_names: Vec<String>,
    #[serde(deserialize_with = "numbered")]
    pub(crate) steps: Vec<OptimizerUpdate>,
}

/// One update, and everything as it was afterwards.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptimizerUpdate {
    /// Only with a sparse gradient; in any order, and repeated at will.
    pub(crate) indices: Option<Vec<i64>>,
    pub(crate) grad: Tensor,
    pub(crate) variable: Tensor,
    pub(crate) slots: BTreeMap<String, Tensor>,
}

/// An optimizer with its numbers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Formula {
    Sgd {
        learning_rate: f64,
    },
    Momentum {
        learning_rate: f64,
        momentum: f64,
        nesterov: bool,
    },
    Adam {
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
    },
    Adagrad {
        learning_rate: f64,
        initial_accumulator_value: f64,
    },
    #[serde(rename = "rmsprop")]
    RmsProp {
        learning_rate: f64,
        decay: f64,
        momentum: f64,
        epsilon: f64,
        centered: bool,
    },
    Ftrl {
        learning_rate: f64,
        learning_rate_power: f64,
        initial_accumulator_value: f64,
        l1: f64,
        l2: f64,
        l2_shrinkage: f64,
    },
}

impl Formula {
    /// From the two fields in which every trace names it.
    pub(super) fn read(optimizer: &str, params: &Value) -> Result<Self, serde_json::Error> {
        let tagged = Map::from_iter([(optimizer.to_owned(), params.clone())]);
        serde_json::from_value(Value::Object(tagged))
    }
}

impl OptimizerTrace {
    /// The optimizer to run.
    pub(crate) fn formula(&self) -> Result<Formula, serde_json::Error> {
        Formula::read(&self.optimizer, &self.params)
    }
}
