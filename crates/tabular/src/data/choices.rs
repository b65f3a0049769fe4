//! The user's choices about a file's columns: which to predict, which are keys, which do not count.

use std::fmt;
use std::path::Path;

use super::condition::Condition;
use super::cross::Cross;
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
