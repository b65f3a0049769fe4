//! Why an update was not made, for the caller and inside of the chief.

use accum_core::GlobalStep;

use super::not_finite::NotFinite;

/// Why an update failed; the step was not counted and training ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The optimizer refused a gradient.
    #[error("the update of variable `{name}` at step {step} failed")]
    Optimizer {
        /// The variable.
        name: String,
        /// The step that was to be applied.
        step: GlobalStep,
        /// Why.
        #[source]
        source: optim::ApplyError,
    },
    /// The averages do not fit the variables.
    #[error("the moving average of variable `{name}` failed")]
    Average {
        /// The variable.
        name: String,
        /// Why.
        #[source]
        source: optim::MovingAverageError,
    },
    /// It is not finite.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// An earlier update did not come to its end.
    #[error(transparent)]
    Torn(#[from] Torn),
}

/// Why one variable's update failed.
pub(super) enum Failed {
    Optimizer(optim::ApplyError),
    /// The keys of the gradients that are not finite; `None` where they cannot be told apart.
    NotFinite(Option<Vec<u64>>),
}

impl From<optim::ApplyError> for Failed {
    fn from(error: optim::ApplyError) -> Self {
        Self::Optimizer(error)
    }
}

/// Variables, slots and averages are not of one step any more, since an update failed half-way.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}; variables and slots are not of one step any more: restore a checkpoint")]
pub struct Torn {
    /// What became of that update.
    pub reason: String,
}
