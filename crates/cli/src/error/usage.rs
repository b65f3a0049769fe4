//! Usage errors: what is wrong with the options, found before anything is done.

use std::path::PathBuf;

use optim::HyperParameterError;
use tabular::data::{Choice, DataError, Misfit};
use tabular::models::ModelError;

/// Invalid options. Nothing was done yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// The data cannot be used.
    #[error(transparent)]
    Data(DataError),
    /// A choice about the data or the model does not fit what is there.
    #[error("{option}: {misfit}")]
    Choice {
        /// The option, and its value where that helps.
        option: String,
        /// What was expected, and what came.
        misfit: Misfit,
    },
    /// The optimizer does not accept a number.
    #[error(transparent)]
    HyperParameter(#[from] HyperParameterError),
    /// A number for another optimizer.
    #[error("{option} is not for --optimizer {optimizer}; it belongs to {owners}")]
    NotForOptimizer {
        /// The option.
        option: &'static str,
        /// The optimizer chosen.
        optimizer: String,
        /// The optimizers that have it.
        owners: String,
    },
    /// A value that an option does not take here, or one that it needs beside it.
    #[error("{option}: expected {expected}, got {got}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it takes.
        expected: String,
        /// The given value.
        got: String,
    },
    /// The file of `--config` was not read.
    #[error(
        "--config {}: expected a command line that `command_line::read` has read, which puts the \
         file's settings into it",
        path.display()
    )]
    UnreadConfig {
        /// The file.
        path: PathBuf,
    },
    /// Invalid stragglers.
    #[error("--straggler: {problem}")]
    Straggler {
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// The trainer refuses the combination.
    #[error(transparent)]
    Build(#[from] sync_replicas::error::BuildError),
}

/// With options in place of choices.
impl From<DataError> for UsageError {
    fn from(mut error: DataError) -> Self {
        if let DataError::NoNumber { remedy, .. } = &mut error {
            *remedy = option(Choice::Categorical);
        }
        match error {
            DataError::Choice { choice, misfit } => {
                Self::Choice { option: option(choice).to_owned(), misfit }
            }
            DataError::Target { column, misfit } => {
                Self::Choice { option: format!("{} {column}", option(Choice::Target)), misfit }
            }
            other => Self::Data(other),
        }
    }
}

impl From<ModelError> for UsageError {
    fn from(ModelError { model, misfit }: ModelError) -> Self {
        Self::Choice { option: format!("--model {model}"), misfit }
    }
}

/// The option that makes a choice.
fn option(choice: Choice) -> &'static str {
    match choice {
        Choice::Target => "--target",
        Choice::Categorical => "--categorical",
        Choice::Crosses => "--cross",
        Choice::Ignore => "--ignore",
        Choice::TestWhere => "--test-where",
        Choice::TestRows => "--test-file",
    }
}

impl UsageError {
    pub(crate) fn option(
        option: &'static str,
        expected: impl Into<String>,
        got: impl ToString,
    ) -> Self {
        Self::Option { option, expected: expected.into(), got: got.to_string() }
    }
}
