//! Why a saved state does not fit the variables, tables and optimizer in use.

use embedding_table::Table;

use crate::layout::Layout;

/// Why a saved state was not taken over; nothing changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Other variables.
    #[error("the variables are {here} here and {there} there")]
    Variables {
        /// Their names.
        here: String,
        /// Those of the saved ones.
        there: String,
    },
    /// A variable of another shape.
    #[error("variable `{name}` has shape {here:?} here and {there:?} there")]
    Shape {
        /// Its name.
        name: String,
        /// The one in use.
        here: Vec<usize>,
        /// The saved one.
        there: Vec<usize>,
    },
    /// More tables, or fewer.
    #[error("{here} tables are declared here and {there} there")]
    TableCount {
        /// How many there are.
        here: usize,
        /// How many are saved.
        there: usize,
    },
    /// A table whose rows begin otherwise.
    #[error("a table is {here:?} here and {there:?} there")]
    TableDeclaration {
        /// The one in use.
        here: Box<Table>,
        /// The saved one.
        there: Box<Table>,
    },
    /// A table with other slots.
    #[error("table `{name}` has the slots {here:?} here, {there:?} there")]
    TableSlots {
        /// Its name.
        name: String,
        /// Those of the optimizer.
        here: Vec<String>,
        /// The saved ones.
        there: Vec<String>,
    },
    /// Another formula.
    #[error("the optimizer is {here} here and {there} there")]
    OtherOptimizer {
        /// The one in use.
        here: &'static str,
        /// The saved one.
        there: String,
    },
    /// Only one side has averages.
    #[error("moving averages are kept {} but not {}", place(*.here), place(!.here))]
    Averages {
        /// Whether they are kept here.
        here: bool,
    },
    /// The saved tables do not fit.
    #[error("table `{name}`: {reason}")]
    Table {
        /// The table.
        name: String,
        /// What was expected, and what came.
        reason: String,
    },
    /// The saved averages do not fit.
    #[error("moving averages: {0}")]
    AverageState(optim::RestoreError),
    /// The saved slots do not fit.
    #[error("optimizer {name}: {reason}")]
    OptimizerState {
        /// The optimizer.
        name: &'static str,
        /// The cause.
        reason: optim::RestoreError,
    },
}

fn place(here: bool) -> &'static str {
    if here { "here" } else { "there" }
}

impl Layout {
    /// Whether others have these names and shapes; if not, what was expected and what came.
    /// Tables are looked at where their rows are taken over.
    pub(crate) fn check(&self, there: &Self) -> Result<(), RestoreError> {
        let arrays = |layout: &Self| -> Vec<String> {
            layout.names().take(layout.arrays()).map(str::to_owned).collect()
        };
        let (here, theirs) = (arrays(self), arrays(there));
        if here != theirs {
            let (here, there) = (here.join(", "), theirs.join(", "));
            return Err(RestoreError::Variables { here, there });
        }
        for (index, shape) in self.shapes.iter().enumerate() {
            let got = &there.shapes[index];
            if shape != got {
                let (here, there) = (shape.clone(), got.clone());
                return Err(RestoreError::Shape { name: self.name(index).to_owned(), here, there });
            }
        }
        Ok(())
    }
}
