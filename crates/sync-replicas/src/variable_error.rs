//! What can be wrong with the name of a variable.

use embedding_table::TableError;

/// Why a variable could not be added or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// Two variables with one name.
    #[error("variable `{name}` is there twice; give each variable its own name")]
    Twice {
        /// The repeated name.
        name: String,
    },
    /// No variable has this name.
    #[error("no variable is named `{name}`; the variables are: {known}")]
    Unknown {
        /// The requested name.
        name: String,
        /// The names that exist, separated by commas.
        known: String,
    },
    /// It is a table, which no replica holds whole.
    #[error("variable `{name}` is a table: look up the rows of a batch\'s keys")]
    Table {
        /// The table.
        name: String,
    },
    /// It is an array, not a table.
    #[error("variable `{name}` is an array and no table; the tables are: {known}")]
    NoTable {
        /// The array.
        name: String,
        /// The tables that exist, separated by commas.
        known: String,
    },
    /// No rows of it were looked up for this batch.
    #[error(
        "no rows of `{name}` were looked up for this batch; have the model\'s keys name its, which \
         name: {known}"
    )]
    NotLookedUp {
        /// The requested name.
        name: String,
        /// The tables whose rows are there, separated by commas.
        known: String,
    },
    /// An invalid table.
    #[error(transparent)]
    Declaration(#[from] TableError),
    /// The variable has a different number of dimensions.
    #[error("variable `{name}` was asked for with {expected} dimensions but has shape {got:?}")]
    Dimensions {
        /// The variable.
        name: String,
        /// The requested number of dimensions.
        expected: usize,
        /// Its shape.
        got: Vec<usize>,
    },
}
