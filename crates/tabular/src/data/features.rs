//! What a file's columns are: all that is needed to make an example of a row, now and at
//! prediction.
//!
//! Plain data, which a run folder keeps as `model.json`.

use serde::{Deserialize, Serialize};

use super::cross::Cross;

/// What a file's columns are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// The target.
    pub target: Target,
    /// Columns of numbers.
    pub numbers: Vec<NumberColumn>,
    /// Columns of which each value is a key.
    pub categories: Vec<String>,
    /// Columns of numbers that are keys, by how many deviations a number is from the mean.
    pub binned: Vec<NumberColumn>,
    /// Columns that are a key together.
    pub crosses: Vec<Cross>,
}

/// A column of numbers, standardised by the mean and the deviation of the rows trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberColumn {
    /// Its name.
    pub name: String,
    /// The mean.
    pub mean: f64,
    /// The standard deviation; 1 where all values are equal.
    pub deviation: f64,
    /// Whether some rows have none: then a second number says so, and the first is the mean.
    pub has_missing: bool,
}

/// The target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The column.
    pub column: String,
    /// Its task.
    pub task: Task,
}

/// The task, with what is known of the target from the rows trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Task {
    /// The probability of the second of two values.
    Binary {
        /// The two values.
        classes: [ClassRate; 2],
    },
    /// The probability of each of several values.
    Classes {
        /// The values.
        classes: Vec<ClassRate>,
    },
    /// A number; the model predicts how many deviations it is above the mean.
    Regression {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
}

/// A value of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassRate {
    /// Its text in the file.
    pub value: String,
    /// The part of the rows that have it: the base rate.
    pub rate: f64,
}

/// What is learned, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// Two values.
    Binary,
    /// Several values.
    Classes,
    /// Numbers.
    Regression,
}

impl Task {
    /// Its name.
    #[must_use]
    pub fn kind(&self) -> TaskKind {
        match self {
            Self::Binary { .. } => TaskKind::Binary,
            Self::Classes { .. } => TaskKind::Classes,
            Self::Regression { .. } => TaskKind::Regression,
        }
    }

    /// The values of the target; none for numbers.
    #[must_use]
    pub fn classes(&self) -> &[ClassRate] {
        match self {
            Self::Binary { classes } => classes,
            Self::Classes { classes } => classes,
            Self::Regression { .. } => &[],
        }
    }

    /// How many scores a model gives a row.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classes { classes } => classes.len(),
            Self::Binary { .. } | Self::Regression { .. } => 1,
        }
    }
}

impl NumberColumn {
    /// How many deviations a value is above the mean.
    #[must_use]
    pub fn standardised(&self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    /// The same as a whole number, from -3 to 3: numbers that are close have one key.
    #[must_use]
    pub fn bin(&self, value: f64) -> i64 {
        self.standardised(value).round().clamp(-3.0, 3.0) as i64
    }
}

impl Features {
    /// How many numbers an example has.
    #[must_use]
    pub fn num_numbers(&self) -> usize {
        self.numbers.iter().map(|it| 1 + usize::from(it.has_missing)).sum()
    }

    /// How many keys of single columns an example has.
    #[must_use]
    pub fn num_columns(&self) -> usize {
        self.categories.len() + self.binned.len()
    }

    /// How many keys an example has: those of columns first, then those of crosses.
    #[must_use]
    pub fn num_keys(&self) -> usize {
        self.num_columns() + self.crosses.len()
    }
}
