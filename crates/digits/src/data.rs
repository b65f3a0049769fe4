//! Handwritten digits: read, scaled, and split into training and test examples.
//!
//! Knows nothing of replicas. Its invariant: the split depends on the rows alone, never on the
//! run's seed, so that every run is judged by the same test images.

mod batches;
mod examples;
mod parse;

use std::fs;
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

pub use batches::{BatchSizeError, Batches};
pub use examples::{CLASSES, Examples, FEATURES, PIXELS, Row};
pub use parse::DataError;

/// The program's own copy, so that it runs anywhere; see `data/README.md` for whose work it is.
const EMBEDDED: &[u8] = include_bytes!("../data/digits.csv.gz");

/// Seeds the split, and nothing else.
const SPLIT_SEED: u64 = 1;

/// One image in this many is kept for the test.
const TEST_ONE_IN: usize = 5;

/// The digits, four fifths to train on and one fifth to test with.
///
/// # Examples
/// ```
/// let digits = digits::data::Digits::embedded()?;
/// assert_eq!((digits.train.len(), digits.test.len()), (1438, 359));
/// # Ok::<(), digits::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Digits {
    /// What the replicas learn from.
    pub train: Examples,
    /// What they never see.
    pub test: Examples,
}

impl Digits {
    /// The digits that the program carries.
    ///
    /// # Errors
    /// None in practice: the carried file is well formed, as a test proves.
    pub fn embedded() -> Result<Self, DataError> {
        Self::from_bytes(EMBEDDED, "the embedded digits")
    }

    /// Digits of a file: CSV or gzipped CSV, 64 pixels of 0 to 16 and the digit in each line.
    ///
    /// # Errors
    /// [`DataError`] says which line and column is wrong, what belongs there and what is there.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let bytes =
            fs::read(path).map_err(|source| DataError::Open { path: name.clone(), source })?;
        Self::from_bytes(&bytes, &name)
    }

    /// Digits of a file's content; `name` is what errors call it.
    ///
    /// # Errors
    /// [`DataError`] says which line and column is wrong, what belongs there and what is there.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, DataError> {
        Ok(Self::split(parse::rows(bytes, name)?))
    }

    fn split(mut rows: Vec<Row>) -> Self {
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(SPLIT_SEED));
        let (test, train) = rows.split_at(rows.len() / TEST_ONE_IN);
        Self { train: Examples::new(train), test: Examples::new(test) }
    }
}

#[cfg(test)]
mod tests;
