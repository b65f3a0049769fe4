//! The user's choices about a file's columns: which to predict, which are keys, which do not count.

use std::fmt;
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

/// Columns that are a key together: `dest*hour`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cross(pub Vec<String>);

impl FromStr for Cross {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let columns: Vec<String> = text.split('*').map(|it| it.trim().to_owned()).collect();
        if columns.len() < 2 || columns.iter().any(String::is_empty) {
            return Err("expected at least two columns with * between them, such as a*b".to_owned());
        }
        Ok(Self(columns))
    }
}

impl fmt::Display for Cross {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("*"))
    }
}
