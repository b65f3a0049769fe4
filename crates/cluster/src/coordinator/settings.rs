//! What a coordinator must know before it begins.

use sync_replicas::engine::Config;

/// What a [`Coordinator`](super::Coordinator) is made of.
#[derive(Clone, Debug)]
pub struct CoordinatorSettings {
    /// The engine's settings.
    pub config: Config,
    /// How many variables there are.
    pub variables: usize,
    /// How many shards carry orders out.
    pub shards: usize,
    /// What shards make their receipts with; see [`receipt`](super::receipt).
    pub secret: u64,
    /// How many decisions leave together; see [`batch_size`](super::batch_size).
    pub batch: usize,
    /// The update to end exactly after.
    pub last_step: Option<i64>,
    /// Whether to end when the mean loss of a step is NaN or infinite, and not make the step.
    pub nan_guard: bool,
    /// Whether to keep what the engine is told and answers.
    pub observed: bool,
}

impl CoordinatorSettings {
    /// Of one variable on one shard, without an end, and with decisions that leave one by one.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        let (variables, shards, secret, batch, last_step) = (1, 1, 0, 1, None);
        let (nan_guard, observed) = (false, false);
        Self { config, variables, shards, secret, batch, last_step, nan_guard, observed }
    }
}
