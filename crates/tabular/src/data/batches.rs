//! Which examples are in which batch: a pure function of the seed and the batch's number.
//!
//! Holds no examples. Its invariant: the batches of one epoch share no example, and batch `number`
//! is the same for every caller at every time, so runs can be repeated and resumed.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Finds batches by number.
///
/// # Examples
/// ```
/// use tabular::data::Batches;
///
/// let mut batches = Batches::new(100, 32, 7)?;
/// assert_eq!(batches.per_epoch(), 3); // the 4 left over wait for another epoch's shuffle
/// let later = batches.rows(1_000_000);
/// assert_eq!(later.len(), 32);
/// assert_eq!(later, Batches::new(100, 32, 7)?.rows(1_000_000));
/// # Ok::<(), tabular::data::BatchSizeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    size: usize,
    seed: u64,
    epoch: u64,
    order: Vec<u32>,
}

/// A batch that is empty or larger than the training data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--batch-size: expected 1 to {examples} (the training examples), got {got}")]
pub struct BatchSizeError {
    /// The number of training examples.
    pub examples: usize,
    /// The requested size.
    pub got: usize,
}

impl Batches {
    /// Batches of `size` out of `examples`.
    ///
    /// # Errors
    /// [`BatchSizeError`] when `size` is 0 or above `examples`.
    pub fn new(examples: usize, size: usize, seed: u64) -> Result<Self, BatchSizeError> {
        if size == 0 || size > examples {
            return Err(BatchSizeError { examples, got: size });
        }
        Ok(Self { size, seed, epoch: 0, order: shuffled(examples, seed, 0) })
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
            self.order = shuffled(self.order.len(), self.seed, epoch);
            self.epoch = epoch;
        }
        let first = (number % self.per_epoch()) as usize * self.size;
        self.order[first..first + self.size].iter().map(|row| *row as usize).collect()
    }
}

fn shuffled(examples: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // One stream an epoch: the seeds 7 and 8 share no shuffle, as seed + epoch would.
    random.set_stream(epoch);
    // A file has no more rows than these can count.
    let mut order: Vec<u32> = (0..examples as u32).collect();
    order.shuffle(&mut random);
    order
}
