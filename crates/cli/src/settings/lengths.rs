//! How long a training is, how large its batches are, and how often it is tested: as the options
//! say, otherwise as suits the data.

use std::ops::RangeInclusive;

use sync_replicas::BatchSampler;
use tabular::data::Dataset;

use crate::args::{StopWhen, TrainArgs};
use crate::error::UsageError;
use crate::settings::count;

/// With the built-in digits.
const USUAL_UPDATES: u64 = 1000;

/// With a file, this many examples are used, in epochs within these bounds.
const USUAL_EXAMPLES: u64 = 200_000;
const USUAL_EPOCHS: RangeInclusive<u64> = 2..=100;

const USUAL_BATCH: u64 = 32;

/// With more examples than this, larger batches cost less each.
const MANY_EXAMPLES: u64 = 20_000;
const LARGE_BATCH: u64 = 512;

/// The model is tested about this many times in a run without `--eval-every`,
const USUAL_TESTS: u64 = 25;

/// or less often, so that at most one example is tested for this many trained on.
const TRAINED_A_TEST: u64 = 5;

/// How long a training is, in which batches, and how often it is tested.
#[derive(Clone, Debug)]
pub struct Lengths {
    /// Examples in a batch.
    pub batch_size: u64,
    /// Which examples are in which batch.
    pub sampler: BatchSampler,
    /// The global step to end at.
    pub updates: u64,
    /// Updates from test to test.
    pub eval_every: u64,
    /// What ends it earlier, if anything.
    pub stop_when: Option<StopWhen>,
}

impl Lengths {
    /// Of a training in which A gradients make an update.
    pub(crate) fn check(
        args: &TrainArgs,
        data: &Dataset,
        aggregate: usize,
    ) -> Result<Self, UsageError> {
        let (examples, tests) = (data.train.len() as u64, data.test.len() as u64);
        let usual = if examples > MANY_EXAMPLES { LARGE_BATCH } else { USUAL_BATCH };
        let batch_size = args.batch_size.unwrap_or_else(|| usual.min(examples));
        let an_update = (aggregate as u64).saturating_mul(batch_size).max(1);
        let of = |epochs: u64| epochs.saturating_mul(examples).div_ceil(an_update);
        let usual = || match args.data.data {
            None => USUAL_UPDATES,
            Some(_) => {
                let epochs = USUAL_EXAMPLES.div_ceil(examples.max(1));
                of(epochs.clamp(*USUAL_EPOCHS.start(), *USUAL_EPOCHS.end()))
            }
        };
        let updates = args.epochs.map(of).or(args.updates).unwrap_or_else(usual);
        // Steps are counted in `i64`.
        if i64::try_from(updates).is_err() {
            let expected = "at most 9223372036854775807";
            return Err(UsageError::option("--updates", expected, updates));
        }
        let a_test = TRAINED_A_TEST.saturating_mul(tests.max(1));
        let usual_tests = (updates.saturating_mul(an_update) / a_test).clamp(1, USUAL_TESTS);
        let eval_every = args.eval_every.unwrap_or(updates / usual_tests).max(1);
        let in_batch = count("--batch-size", batch_size)?;
        let sampler = BatchSampler::new(data.train.len(), in_batch, args.seed).map_err(|_| {
            let expected = format!("1 to {} (the training examples)", data.train.len());
            UsageError::option("--batch-size", expected, in_batch)
        })?;
        Ok(Self { batch_size, sampler, updates, eval_every, stop_when: args.stop_when })
    }
}
