//! The options of `predict`.

use std::path::PathBuf;

use clap::Args;

/// The options of `predict`.
#[derive(Clone, Debug, Args)]
pub struct PredictArgs {
    /// The run folder of a training, whose newest checkpoint predicts, or one of its checkpoints
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The rows to predict: CSV with the columns that the model has learned from, also gzipped,
    /// with or without the target
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the predictions go [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
