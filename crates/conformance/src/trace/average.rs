//! Runs of the moving average of one variable.

use serde::Deserialize;

use super::{Tensor, nullable, numbered};

/// A run of a moving average.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AverageTrace {
    #[serde(rename = "name")]
    _name: String,
    pub(crate) decay: f64,
    pub(crate) zero_debias: bool,
    /// The variable when the average was made.
    pub(crate) initial: Tensor,
    #[serde(deserialize_with = "numbered")]
    pub(crate) steps: Vec<AverageUpdate>,
}

/// One update of the average.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AverageUpdate {
    /// The variable's value by then.
    pub(crate) variable: Tensor,
    #[serde(deserialize_with = "nullable")]
    pub(crate) num_updates: Option<u64>,
    /// The average afterwards.
    pub(crate) average: Tensor,
}
