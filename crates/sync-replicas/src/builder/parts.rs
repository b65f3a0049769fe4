//! A description taken apart, for those who carry it out elsewhere.

use std::time::Duration;

use accum_core::{SparseMean, SparseMerge};
use engine::Config;

use super::{BuildError, SyncReplicas};
use crate::checkpoint::RunId;
use crate::record::Record;

/// A checked description, for drivers other than [`Trainer`](crate::Trainer).
#[derive(Clone, Debug)]
pub struct Parts<O> {
    /// The update rule.
    pub optimizer: O,
    /// The engine's settings.
    pub config: Config,
    /// The requested lease, if any.
    pub lease: Option<Duration>,
    /// What divides a sparse gradient's rows.
    pub sparse_mean: SparseMean,
    /// How a sparse gradient's rows are merged.
    pub sparse_merge: SparseMerge,
    /// The decay of the moving averages, if there are any.
    pub moving_average: Option<f64>,
    /// The variables that are averaged; all when not given.
    pub variables_to_average: Option<Vec<String>>,
    /// The run that its checkpoints belong to.
    pub run: RunId,
    /// Where to record what happens, if anywhere.
    pub record: Option<Record>,
}

impl<O> SyncReplicas<O> {
    /// The description in its parts, checked.
    ///
    /// # Errors
    /// [`BuildError::Config`] when the numbers do not fit; [`BuildError::OneProcessOnly`].
    pub fn into_parts(self) -> Result<Parts<O>, BuildError> {
        let failing = ", where a worker that fails ends with an error of its own";
        let reading = ", where readers never wait";
        for (given, option, instead) in [
            (self.min_replicas.is_some(), "min_replicas", failing),
            (!self.use_locking, "use_locking", reading),
            (self.observe, "observe_gradients", ""),
        ] {
            if given {
                return Err(BuildError::OneProcessOnly { option, instead });
            }
        }
        Ok(Parts {
            optimizer: self.optimizer,
            lease: self.lease,
            config: self.settings.check()?,
            sparse_mean: self.sparse_mean,
            sparse_merge: self.sparse_merge,
            moving_average: self.averages.decay,
            variables_to_average: self.averages.names,
            run: self.run.unwrap_or_else(RunId::draw),
            record: self.record,
        })
    }
}
