//! What can be wrong with a model in candle, each error with what to do.

use std::path::PathBuf;

use candle_core::{DType, Shape};
use sync_replicas::error::{SamplerError, VariableError};

/// Why a model could not be built, computed or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CandleError {
    /// Candle could not do something that the module or the loss asked for.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The module took no variable.
    #[error(
        "the module has no variables: take them from the `VarBuilder` that its function is given"
    )]
    NoVariables,
    /// A variable is of numbers that cannot be trained as `trained`.
    #[error(
        "variable `{name}` is {got:?}, but {trained:?} is trained: a variable may be {trained:?} \
         or a narrower float (see `CandleModel::dtype` and `in_f64`)"
    )]
    DType {
        /// The variable.
        name: String,
        /// What the module made of it.
        got: DType,
        /// What the servers and the optimizer compute in.
        trained: DType,
    },
    /// What is trained and what the module has are not the same variables.
    #[error("what is trained is not this module: {mismatch}; both must come from one model")]
    Variables {
        /// The first variable that differs, and how.
        mismatch: Mismatch,
    },
    /// A name or a shape that the training refuses.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// The loss is not one number.
    #[error("the loss has shape {got:?}, expected one number: take its mean, `loss.mean_all()`")]
    Loss {
        /// Its shape.
        got: Shape,
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
    /// A variable has a gradient for the first time after a batch in which it had none.
    #[error(
        "variable `{name}` has a gradient now, and had none in the first batch: where batches use \
         some variables and not others, take `CandleModel::zeros_for_unused`"
    )]
    FirstGradient {
        /// The variable.
        name: String,
    },
    /// The forward pass itself has set a variable, as a batch normalisation in training does.
    #[error(
        "variable `{name}` was set by the forward pass, as batch normalisation sets its running \
         statistics: replicas share what the optimizer updates, and nothing else. Normalise by \
         layer, or freeze it with `forward_t(x, false)`"
    )]
    SetInPass {
        /// The variable.
        name: String,
    },
    /// There is no such device here.
    #[error(
        "there is no device `{name}` here: {reason}. Expected `cpu`, `cuda`, `cuda:N`, `metal` or \
         `metal:N`"
    )]
    Device {
        /// What was asked for.
        name: String,
        /// Why it cannot be had.
        reason: String,
    },
    /// Batches of no examples, or of more than there are.
    #[error(transparent)]
    Batches(#[from] SamplerError),
    /// Tensors of one data set with different numbers of examples.
    #[error("expected as many examples in each tensor, got {got:?}")]
    Lengths {
        /// The first dimension of each.
        got: Vec<usize>,
    },
    /// A file of variables that cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: candle_core::Error,
    },
    /// A file of another model's variables.
    #[error("{}: {mismatch}", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// The first variable that differs, and how.
        mismatch: Mismatch,
    },
}

/// How variables differ from a module's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// There is no value for a variable of the module.
    #[error("expected a variable `{name}`, and there is none")]
    Missing {
        /// The variable.
        name: String,
    },
    /// The module has no such variable.
    #[error("`{name}` is no variable of the module")]
    Unknown {
        /// The variable.
        name: String,
    },
    /// A variable of another shape.
    #[error("`{name}` has shape {got:?}, and {expected:?} in the module")]
    Shape {
        /// The variable.
        name: String,
        /// Its shape in the module.
        expected: Vec<usize>,
        /// Its shape in what is given.
        got: Vec<usize>,
    },
    /// Numbers that are no floats.
    #[error("`{name}` is {got:?}, expected floats")]
    DType {
        /// The variable.
        name: String,
        /// What it is.
        got: DType,
    },
}
