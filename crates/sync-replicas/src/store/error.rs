//! What can go wrong with a parameter store, one enum an operation.

use accum_core::{ApplyError, GlobalStep};
use embedding_table::{StoreError, Table, TableError};
use engine::Admission;
use optim::TableOptimizerError;

use super::not_finite::NotFinite;
use super::spec::{GradientKind, Misfit};
use crate::layout::Layout;

/// Why gradients cannot be taken; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GradientError {
    /// There is no pair.
    #[error("no gradients were given; give one for each variable, or say that it is missing")]
    Empty,
    /// Every gradient is missing.
    #[error("no gradients for any variable: all are missing; at least one is needed")]
    AllMissing,
    /// An unknown name.
    #[error("a gradient is named `{name}`, but no variable is; the variables are: {known}")]
    UnknownVariable {
        /// The given name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// Two gradients for one variable.
    #[error("variable `{name}` has two gradients; add them up before the push")]
    Twice {
        /// The variable.
        name: String,
    },
    /// A variable's gradient differs in kind from that of the first push.
    #[error("variable `{name}` has {got}, but the first push gave {expected}; keep to one kind")]
    Kind {
        /// The variable.
        name: String,
        /// The kind of the first push.
        expected: GradientKind,
        /// The given kind.
        got: GradientKind,
    },
    /// A table is updated by the rows of a batch's keys.
    #[error(
        "table `{name}` has a dense gradient; give indexed slices, whose indices are the batch's \
         keys"
    )]
    DenseForTable {
        /// The table.
        name: String,
    },
    /// A gradient that does not fit its variable.
    #[error("the gradient of `{name}` does not fit")]
    Fit {
        /// The variable.
        name: String,
        /// What is wrong with it.
        #[source]
        source: ApplyError,
    },
}

impl GradientError {
    pub(crate) fn kind(layout: &Layout, misfit: Misfit) -> Self {
        let Misfit { variable, expected, got } = misfit;
        Self::Kind { name: layout.name(variable).to_owned(), expected, got }
    }
}

/// Why an update failed; the step was not counted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The optimizer refused a gradient.
    #[error("the update of variable `{name}` at step {step} failed")]
    Optimizer {
        /// The variable.
        name: String,
        /// The step being applied.
        step: GlobalStep,
        /// The cause.
        #[source]
        source: optim::ApplyError,
    },
    /// The averages do not fit the variables.
    #[error("the moving average of variable `{name}` failed")]
    Average {
        /// The variable.
        name: String,
        /// The cause.
        #[source]
        source: optim::MovingAverageError,
    },
    /// The rows of a table cannot be updated.
    #[error("the update of step {step} failed")]
    Table {
        /// The step being applied.
        step: GlobalStep,
        /// The cause.
        #[source]
        source: StoreError,
    },
    /// It is not finite.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// An earlier update did not complete.
    #[error(transparent)]
    Torn(#[from] Torn),
}

/// Why a table cannot be trained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableSetupError {
    /// Its declaration is invalid.
    #[error(transparent)]
    Declaration(#[from] TableError),
    /// The optimizer moves rows that no gradient names.
    #[error(transparent)]
    Optimizer(#[from] TableOptimizerError),
    /// Its rows would be of two steps.
    #[error(
        "table `{table}`: variables are admitted one by one, and the rows of a batch are of one \
         step; admit all together, without the `reference` preset"
    )]
    Admission {
        /// The table.
        table: String,
    },
}

impl TableSetupError {
    /// Whether tables can be trained beside variables admitted in this way.
    ///
    /// # Errors
    /// [`TableSetupError::Admission`].
    // P-17
    pub fn check(tables: &[Table], admission: Admission) -> Result<(), Self> {
        match (tables.first(), admission) {
            (Some(table), Admission::PerVariable) => {
                Err(Self::Admission { table: table.name().to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// Variables, slots and averages are no longer of one step, since an update failed half-way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; variables and slots are no longer of one step: restore a checkpoint")]
#[non_exhaustive]
pub struct Torn {
    /// What became of that update.
    pub reason: String,
}
