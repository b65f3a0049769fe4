//! Columns that are a key together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Columns that are a key together, at least two: `dest*hour`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Cross(Vec<String>);

/// A cross of fewer than two columns, or of one without a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at least two columns with * between them, such as a*b, got {got:?}")]
pub struct CrossError {
    got: String,
}

impl Cross {
    /// The columns, in the order in which their values make the key.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Cross {
    type Error = CrossError;

    fn try_from(columns: Vec<String>) -> Result<Self, CrossError> {
        if columns.len() < 2 || columns.iter().any(String::is_empty) {
            return Err(CrossError { got: columns.join("*") });
        }
        Ok(Self(columns))
    }
}

impl From<Cross> for Vec<String> {
    fn from(cross: Cross) -> Self {
        cross.0
    }
}

impl FromStr for Cross {
    type Err = CrossError;

    fn from_str(text: &str) -> Result<Self, CrossError> {
        text.split('*').map(|it| it.trim().to_owned()).collect::<Vec<_>>().try_into()
    }
}

impl fmt::Display for Cross {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("*"))
    }
}
