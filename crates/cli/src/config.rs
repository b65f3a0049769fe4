//! A run's settings as a flat table of typed values: `config.toml`, the line of the run in
//! `metrics.jsonl`, and what `--config` reads.
//!
//! Invariant: each key is the long name of an option, with _ for -, and its value is one that the
//! option takes, so that a run can be repeated from its own table.

mod error;
mod resolved;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

pub use error::ConfigError;
pub(crate) use resolved::ClusterOptions;

/// Settings by name.
///
/// # Examples
/// ```
/// # use clap::Parser;
/// # use cli::{args::Cli, config::Config, settings::Settings};
/// let args = Cli::try_parse_from(["sync-replicas", "--learning-rate", "0.1"])?.into_train();
/// let config = Config::of(&Settings::check(args)?)?;
/// assert!(config.to_string().contains("\nlearning_rate = 0.1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Config(BTreeMap<String, Value>);

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Toml`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let table = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            ConfigError::Toml {
                path: path.to_owned(),
                line: 1 + before.matches('\n').count(),
                problem: error.message().trim_end().replace('\n', "; "),
            }
        })?;
        Ok(Self(table))
    }

    /// All of it, in order.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, Value)> {
        self.0.into_iter()
    }

    /// Sets a value; an absent one removes it.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        match value.into() {
            Value::Null => self.0.remove(key),
            value => self.0.insert(key.to_owned(), value),
        };
    }
}

/// As TOML, a line for each setting.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.0 {
            // JSON of such values is TOML, but for one character that only JSON has in texts.
            let value = value.to_string().replace('\u{7f}', "\\u007f");
            writeln!(f, "{key} = {value}")?;
        }
        Ok(())
    }
}
