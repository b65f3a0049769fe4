//! Why a command line cannot be used.

use std::path::PathBuf;

use crate::config::ConfigError;

/// Why a command line cannot be used. Nothing was done yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandLineError {
    /// The words themselves, with those of the file, or a request for help.
    #[error("{error}")]
    Words {
        /// What is wrong, or the answer.
        error: clap::Error,
        /// The file, if there is one.
        file: Option<PathBuf>,
    },
    /// The file of `--config`.
    #[error(transparent)]
    File(#[from] ConfigError),
}
