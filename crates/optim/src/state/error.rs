//! What can go wrong with an optimizer at work, one enum an operation.
//!
//! Each of these leaves the state and the variable as they were.

use crate::{HyperParameterError, MAX_SLOTS};

/// An optimizer cannot be put to work.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A hyper-parameter has a value that the formula cannot take.
    #[error(transparent)]
    HyperParameter(#[from] HyperParameterError),
    /// The optimizer declares too many slots.
    #[error("{optimizer} declares {actual} slots; there can be at most {MAX_SLOTS}")]
    TooManySlots {
        /// The optimizer's name.
        optimizer: &'static str,
        /// How many slots it declares.
        actual: usize,
    },
    /// The optimizer declares a slot or scalar whose name has a slash or is not unique.
    #[error("{optimizer} declares {name:?}; names must be unique and have no slash")]
    Name {
        /// The optimizer's name.
        optimizer: &'static str,
        /// The unusable name.
        name: &'static str,
    },
}

/// A variable cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddVariableError {
    /// There is already a variable of this name.
    #[error("a variable called {name:?} was added before; names must be unique")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The shape has more elements than can be counted.
    #[error("variable {name:?} of shape {shape:?} has more elements than memory can hold")]
    TooLarge {
        /// The variable's name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

/// An optimizer cannot update the rows of a table.
// P-17
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{optimizer} moves rows that no gradient names, and those of table {table:?} are found by \
     gradients alone; take {instead}"
)]
#[non_exhaustive]
pub struct TableOptimizerError {
    /// The optimizer's name.
    pub optimizer: &'static str,
    /// The table.
    pub table: String,
    /// The optimizer to take, in words.
    pub instead: &'static str,
}

/// A gradient cannot be applied. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// No variable of this name was added.
    #[error("there is no variable called {name:?}; add it before the first gradient")]
    UnknownVariable {
        /// The name.
        name: String,
    },
    /// The array given for the variable differs in shape from the one that was added.
    #[error("variable {name:?} was added with shape {expected:?}, but has shape {actual:?} now")]
    VariableShape {
        /// The variable's name.
        name: String,
        /// The shape that it was added with.
        expected: Vec<usize>,
        /// The shape of the array.
        actual: Vec<usize>,
    },
    /// A dense gradient's shape differs from its variable's.
    #[error("the gradient has shape {actual:?}, but the variable has shape {expected:?}")]
    GradientShape {
        /// The variable's shape.
        expected: Vec<usize>,
        /// The gradient's shape.
        actual: Vec<usize>,
    },
    /// A sparse gradient for a variable that is a single number.
    #[error("a variable without axes has no rows; give it a dense gradient")]
    NoRows,
    /// A sparse gradient's rows are not one an index, or do not fit the variable's rows.
    #[error("the gradient's rows have shape {actual:?}, but must have shape {expected:?}")]
    RowsShape {
        /// One row an index, and then the variable's other axes.
        expected: Vec<usize>,
        /// The shape of the rows.
        actual: Vec<usize>,
    },
    /// A sparse gradient names a row that the variable does not have.
    #[error("indices[{position}] = {index} is not in [0, {rows})")]
    IndexOutOfRange {
        /// Where in the indices.
        position: usize,
        /// The index there.
        index: i64,
        /// How many rows the variable has.
        rows: usize,
    },
}

/// A saved state does not fit. Nothing was restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The saved state lacks something.
    #[error("the saved state has no {name:?}; was it saved by another optimizer or model?")]
    Missing {
        /// What is missing.
        name: String,
    },
    /// The saved state has an unknown entry.
    #[error("the saved state has {name:?}, which is not known here; add its variable first")]
    Unknown {
        /// The unknown entry.
        name: String,
    },
    /// A saved tensor's shape differs.
    #[error("{name:?} was saved with shape {actual:?}, but has shape {expected:?} here")]
    Shape {
        /// The tensor's name.
        name: String,
        /// The required shape.
        expected: Vec<usize>,
        /// The saved shape.
        actual: Vec<usize>,
    },
    /// A saved number is invalid, such as a power of Adam's beta that is NaN.
    #[error("{name:?} was saved as {actual}, but must be {expected}")]
    Value {
        /// The entry's name.
        name: String,
        /// What is allowed.
        expected: String,
        /// The saved number.
        actual: String,
    },
    /// A tensor was saved where a number is required, or the like.
    #[error("{name:?} was saved as {actual}, but is {expected} here")]
    Kind {
        /// The entry's name.
        name: String,
        /// What is required.
        expected: &'static str,
        /// What was saved.
        actual: &'static str,
    },
}
