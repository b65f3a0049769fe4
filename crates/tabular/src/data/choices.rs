//! The user's choices about a file's columns: which to predict, which are keys, which do not count.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::features::TaskKind;

/// The user's choices about a file's columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choices {
    /// The column to predict.
    pub target: String,
    /// Columns that are keys, whatever their content; those of text are so anyway.
    pub categorical: Vec<String>,
    /// Whether numbers are also keys, by how many deviations they are from the mean.
    pub bin_numbers: bool,
    /// Columns that are keys together.
    pub crosses: Vec<Cross>,
    /// Columns not to learn from by themselves; crosses and conditions may name them.
    pub ignore: Vec<String>,
    /// What to learn; otherwise the target's values decide.
    pub task: Option<TaskKind>,
    /// Which rows are for the test; otherwise one in five.
    pub test_where: Option<Condition>,
}

/// Which rows test a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestRows<'a> {
    /// Some of the same file.
    OfTheFile,
    /// Those of another, all of them.
    Of(&'a Path),
}

/// A choice that an error is about: its text is the name of the field.
///
/// Exhaustive, so that a program has words of its own for each, such as its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// [`Choices::target`].
    Target,
    /// [`Choices::categorical`].
    Categorical,
    /// [`Choices::crosses`].
    Crosses,
    /// [`Choices::ignore`].
    Ignore,
    /// [`Choices::test_where`].
    TestWhere,
    /// [`TestRows`].
    TestRows,
}

impl Choice {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Categorical => "categorical",
            Self::Crosses => "crosses",
            Self::Ignore => "ignore",
            Self::TestWhere => "test_where",
            Self::TestRows => "test rows",
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
