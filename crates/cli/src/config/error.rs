//! Why a file of settings cannot be used.

use std::io;
use std::path::PathBuf;

use crate::error::Error;

/// Why a file of settings cannot be used. Nothing was done yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("--config {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is not TOML.
    #[error("{}, line {line}: expected TOML, such as `updates = 500`; {problem}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A key that is no option's.
    #[error(
        "{}: {key}: expected the long name of an option of `{command}` with _ for -; \
         `sync-replicas {command} --help` lists them",
        path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The command.
        command: String,
    },
    /// A value that its option does not take.
    #[error("{}: {key} = {value}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The given value, as JSON.
        value: String,
        /// What was expected.
        problem: String,
    },
    /// Two settings that exclude each other.
    #[error("{}: expected either {one} or {other}, got both; take one out", path.display())]
    Both {
        /// The file.
        path: PathBuf,
        /// A key.
        one: String,
        /// Another key.
        other: String,
    },
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}
