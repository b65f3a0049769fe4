//! The options that say what to learn from: a file, and what its columns are.

use std::path::PathBuf;

use clap::Args;
use tabular::data::{Condition, Cross, TaskKind};

use super::headings::MODEL;
use super::kinds::TASKS;

/// The options that say what to learn from.
#[derive(Clone, Debug, Default, Args)]
pub struct DataArgs {
    /// What to learn from: CSV with a line of names, also gzipped [default: the built-in digits]
    #[arg(long, value_name = "FILE", help_heading = MODEL)]
    pub data: Option<PathBuf>,
    /// The column to predict
    #[arg(long, value_name = "COLUMN", help_heading = MODEL)]
    pub target: Option<String>,
    /// Columns whose values are names, even if they are numbers: `month,hour`. Columns of text are
    /// so anyway
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = MODEL)]
    pub categorical: Vec<String>,
    /// Columns whose values count together: `origin*dest`; may be repeated
    #[arg(long, value_name = "A*B", help_heading = MODEL)]
    pub cross: Vec<Cross>,
    /// Columns not to learn from by themselves; --cross and --test-where may name them
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = MODEL)]
    pub ignore: Vec<String>,
    /// What to learn [default: binary of two values; classes of few; regression of numbers]
    #[arg(long, value_parser = TASKS.parser(), value_name = "TASK", help_heading = MODEL)]
    pub task: Option<TaskKind>,
    /// Which lines are for the test: `day % 10 == 0`, `year >= 2013 and part != 'train'` [default:
    /// one in five]
    #[arg(long, value_name = "CONDITION", conflicts_with = "test_file", help_heading = MODEL)]
    pub test_where: Option<Condition>,
    /// A file of lines for the test; then all lines of the other are trained on
    #[arg(long, value_name = "FILE", help_heading = MODEL)]
    pub test_file: Option<PathBuf>,
}

/// The file as a bare word: `train FILE` is `train --data FILE`.
#[derive(Clone, Debug, Default, Args)]
pub struct FileArg {
    /// The same as --data FILE
    #[arg(value_name = "FILE", conflicts_with = "data")]
    pub file: Option<PathBuf>,
}
