//! Why a trainer was not built.

use engine::ConfigError;

/// Why a trainer was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The numbers of replicas, tokens or times do not fit.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `min_replicas` is not a number of replicas that can be left.
    #[error("min_replicas: expected 1 to {total}, the number of replicas, got {got}")]
    MinReplicas {
        /// N.
        total: usize,
        /// The given number.
        got: usize,
    },
    /// This was requested on a cluster, and exists in one process only.
    #[error("{option} is for a training in one process; do not set it on a cluster{instead}")]
    OneProcessOnly {
        /// The method of [`SyncReplicas`](crate::SyncReplicas).
        option: &'static str,
        /// Why there is no need.
        instead: &'static str,
    },
    /// There is nothing to train.
    #[error("there are no variables; add at least one")]
    NoVariables,
    /// A hyper-parameter of the optimizer is out of range.
    #[error(transparent)]
    Optimizer(#[from] optim::BuildError),
    /// A table cannot be trained this way.
    #[error(transparent)]
    Table(#[from] crate::store::TableSetupError),
    /// A variable cannot have slots.
    #[error(transparent)]
    Slots(#[from] optim::AddVariableError),
    /// The moving average's decay is out of range.
    #[error(transparent)]
    Decay(#[from] optim::HyperParameterError),
    /// A variable cannot be averaged.
    #[error(transparent)]
    Average(#[from] optim::MovingAverageError),
    /// The name of an average belongs to no variable.
    #[error(transparent)]
    Variable(#[from] crate::VariableError),
}
