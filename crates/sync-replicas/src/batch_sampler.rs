//! Which examples are in which batch: a pure function of the seed and the batch's number.
//!
//! Holds no examples. Invariant: the batches of one epoch share no example, and batch `number` is
//! the same for every caller at every time, so runs can be repeated and resumed (P-14).

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Finds the rows of a batch by its number, in an order that is shuffled for each epoch.
///
/// Any replica can find any batch, so a [`BatchSource`](crate::BatchSource) over data that can be
/// indexed needs nothing else. A batch lies in one epoch, since the sampler keeps the order of one;
/// what is left over sits out. (`Batches` of the Python package computes each row's place by
/// itself, so its batches go on into the next epoch and nothing sits out: another order of rows.)
///
/// # Examples
/// ```
/// use sync_replicas::BatchSampler;
///
/// let mut sampler = BatchSampler::new(100, 32, 7)?;
/// assert_eq!(sampler.per_epoch(), 3); // the 4 left over wait for another epoch's shuffle
/// let later = sampler.rows(1_000_000);
/// assert_eq!(later.len(), 32);
/// assert_eq!(later, BatchSampler::new(100, 32, 7)?.rows(1_000_000));
/// # Ok::<(), sync_replicas::error::SamplerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchSampler {
    size: usize,
    seed: u64,
    epoch: u64,
    order: Vec<u32>,
}

/// Batches that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplerError {
    /// A batch that is empty, or larger than the data.
    #[error("expected batches of 1 to {examples} examples (all that there are), got {got}")]
    BatchSize {
        /// How many examples there are.
        examples: usize,
        /// The size asked for.
        got: usize,
    },
    /// More examples than an order has numbers for.
    #[error("expected at most {} examples, got {got}", u32::MAX)]
    Examples {
        /// How many there are.
        got: usize,
    },
}

impl BatchSampler {
    /// Batches of `size` out of `examples`.
    ///
    /// # Errors
    /// [`SamplerError`] when `size` is 0 or above `examples`, or there are more than 2³² - 1 of
    /// them.
    pub fn new(examples: usize, size: usize, seed: u64) -> Result<Self, SamplerError> {
        if size == 0 || size > examples {
            return Err(SamplerError::BatchSize { examples, got: size });
        }
        let all = u32::try_from(examples).map_err(|_| SamplerError::Examples { got: examples })?;
        Ok(Self { size, seed, epoch: 0, order: shuffled(all, seed, 0) })
    }

    /// The same batches in the orders of another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        let order = shuffled(self.order.len() as u32, seed, self.epoch);
        Self { seed, order, ..self }
    }

    /// Batches in one pass over the data; examples that fill no batch are left out of this pass.
    #[must_use]
    pub fn per_epoch(&self) -> u64 {
        (self.order.len() / self.size) as u64
    }

    /// The rows of a batch.
    pub fn rows(&mut self, number: u64) -> Vec<usize> {
        let epoch = number / self.per_epoch();
        if epoch != self.epoch {
            self.order = shuffled(self.order.len() as u32, self.seed, epoch);
            self.epoch = epoch;
        }
        let first = (number % self.per_epoch()) as usize * self.size;
        self.order[first..first + self.size].iter().map(|row| *row as usize).collect()
    }
}

fn shuffled(examples: u32, seed: u64, epoch: u64) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // One stream an epoch: the seeds 7 and 8 share no shuffle, as seed + epoch would.
    random.set_stream(epoch);
    let mut order: Vec<u32> = (0..examples).collect();
    order.shuffle(&mut random);
    order
}
