//! Why a file of rows cannot be used: by line and column or by choice, with what belongs there.

use std::borrow::Cow;
use std::io;

use super::choices::Choice;

/// How many characters of a field an error shows.
const MOST_SHOWN: usize = 100;

/// Why a file of rows cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file is missing or may not be read.
    #[error("cannot open the data file {path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The bytes are not a gzip stream, or not text.
    #[error("cannot read {path} as CSV or gzipped CSV: {source}")]
    Read {
        /// The file.
        path: String,
        /// The reader's error.
        source: csv::Error,
    },
    /// A Parquet file that is invalid, or that this program cannot read.
    #[error("cannot read {path} as Parquet: {problem}")]
    Parquet {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A gzipped file, which is held in memory, has too much text.
    #[error(
        "{path}: expected at most {expected} bytes of text in a file that is held in memory, got \
         more; as CSV that is not compressed it is read from disk"
    )]
    TooLong {
        /// The file.
        path: String,
        /// The most bytes allowed, after gunzipping.
        expected: u64,
    },
    /// There is nothing in it.
    #[error("{path}: expected a line with the names of the columns, and rows below it, got none")]
    Empty {
        /// The file.
        path: String,
    },
    /// Too few rows below the names.
    #[error("{path}: expected at least {expected} rows below the names of the columns, got {got}")]
    TooFew {
        /// The file.
        path: String,
        /// The least number of rows.
        expected: usize,
        /// The number of rows.
        got: usize,
    },
    /// Two columns with one name.
    #[error("{path}, line 1: expected columns of different names, got {column:?} twice")]
    SameColumn {
        /// The file.
        path: String,
        /// The name.
        column: String,
    },
    /// More rows than can be numbered.
    #[error("{path}: expected at most {expected} rows, got more")]
    TooMany {
        /// The file.
        path: String,
        /// The greatest number of rows.
        expected: u32,
    },
    /// A choice that does not fit the file, or contradicts another one.
    #[error("{choice}: {misfit}")]
    Choice {
        /// The choice.
        choice: Choice,
        /// Why it does not fit.
        misfit: Misfit,
    },
    /// A file without a column that the model has learned from.
    #[error("the columns that the model has learned from: {misfit}")]
    LearnedColumn {
        /// Which column, and which there are.
        misfit: Misfit,
    },
    /// A line with a different number of fields.
    #[error(
        "{path}, line {line}: expected {expected} fields, as many as there are columns, got {got}"
    )]
    Fields {
        /// The file.
        path: String,
        /// Counted from 1.
        line: u64,
        /// As many as the first line names.
        expected: u64,
        /// The number of fields.
        got: u64,
    },
    /// A quoted field without an end; it would contain the rest of the file.
    #[error(
        "{path}, line {line}: expected a quote that closes the last field, got the end of the file"
    )]
    Quote {
        /// The file.
        path: String,
        /// Where its row begins, counted from 1.
        line: u64,
    },
    /// A line that is not text.
    #[error("{path}, line {line}: expected UTF-8 text, got other bytes in field {field}")]
    Text {
        /// The file.
        path: String,
        /// Counted from 1.
        line: u64,
        /// Counted from 1.
        field: usize,
    },
    /// A field that does not fit its column.
    #[error("{path}, line {line}, column {column:?}: expected {expected}, got {:?}", shown(got))]
    Value {
        /// The file.
        path: String,
        /// Counted from 1.
        line: u64,
        /// Its name.
        column: String,
        /// What belongs there.
        expected: String,
        /// What is there.
        got: String,
    },
    /// A text in a column of numbers.
    #[error(
        "{path}, line {line}, column {column:?}: expected a number, as most of the column's first \
         values are, or nothing where there is none ({remedy} makes keys of it), got {:?}",
        shown(got)
    )]
    NoNumber {
        /// The file.
        path: String,
        /// Counted from 1.
        line: u64,
        /// Its name.
        column: String,
        /// The choice [`Categorical`](Choice::Categorical), in the words of whoever makes it.
        remedy: &'static str,
        /// What is there.
        got: String,
    },
    /// A target that cannot be learned as requested.
    #[error("target {column}: {misfit}")]
    Target {
        /// The column.
        column: String,
        /// What can be learned, and what is there.
        misfit: Misfit,
    },
    /// The file is not the one that training began with.
    #[error(
        "{path} was changed while it was read: expected {expected}, got {got}; start again once \
         nobody writes it"
    )]
    Changed {
        /// The file.
        path: String,
        /// What it was at the start.
        expected: String,
        /// What it is now.
        got: String,
    },
}

/// What was expected of a choice, and what came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// A column that the file does not have.
    #[error("expected a column of {path}, got {column:?}; its columns are: {columns}")]
    NoColumn {
        /// The file.
        path: String,
        /// The name.
        column: String,
        /// The known names, the first of them if they are many.
        columns: String,
    },
    /// Anything else.
    #[error("expected {expected}, got {got}")]
    Other {
        /// What is allowed.
        expected: String,
        /// What was given.
        got: String,
    },
}

impl Misfit {
    pub(crate) fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Other { expected: expected.into(), got: got.into() }
    }
}

impl DataError {
    pub(crate) fn of_choice(
        choice: Choice,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::Choice { choice, misfit: Misfit::new(expected, got) }
    }
}

/// As much of a field as helps.
fn shown(field: &str) -> Cow<'_, str> {
    match field.char_indices().nth(MOST_SHOWN) {
        None => field.into(),
        Some((end, _)) => format!("{}…", &field[..end]).into(),
    }
}
