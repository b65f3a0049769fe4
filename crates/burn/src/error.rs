//! What can be wrong with a model in burn, each error with what to do.
//!
//! Burn itself panics where it is asked for what cannot be computed, such as the product of
//! matrices that do not fit; the replica then leaves, and says why.

use burn::tensor::DType;
use sync_replicas::error::VariableError;

/// Why a model could not be built or computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BurnError {
    /// The module has no parameter of floats.
    #[error("the module has no variables: expected at least one `Param` of floats")]
    NoVariables,
    /// A parameter is of numbers that are not those trained.
    #[error(
        "variable `{name}` is {got:?}, but {trained:?} is trained: expected F32, or with \
         `BurnModel::in_f64` F32 or F64"
    )]
    Number {
        /// The variable.
        name: String,
        /// What the module made of it.
        got: DType,
        /// What the servers and the optimizer compute in.
        trained: DType,
    },
    /// What is trained and what the module has are not the same variables.
    #[error("what is trained is not this module: {difference}; both must come from one model")]
    Variables {
        /// The first variable that differs, and how.
        difference: String,
    },
    /// A name or a shape that the training refuses.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// The device could not hand out numbers.
    #[error("variable `{name}` could not be read from its device: {reason}")]
    Read {
        /// The variable, or the loss.
        name: String,
        /// In burn's words.
        reason: String,
    },
    /// The loss is not one number.
    #[error("the loss has {got} numbers, expected one: take its mean, `loss.mean()`")]
    Loss {
        /// How many it has.
        got: usize,
    },
    /// No variable has a gradient.
    #[error(
        "the loss depends on none of the variables ({known}): it was computed without them, or \
         detached from them"
    )]
    NoGradient {
        /// Their names, separated by commas.
        known: String,
    },
    /// The forward pass itself has set a variable, as a batch normalisation in training does.
    #[error(
        "variable `{name}` was set by the forward pass, as batch normalisation sets its running \
         statistics: replicas share what the optimizer updates, and nothing else. Normalise by \
         layer or group, or build the layer with `.freeze()`"
    )]
    SetInPass {
        /// The variable.
        name: String,
    },
}
