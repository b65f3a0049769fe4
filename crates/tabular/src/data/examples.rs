//! Examples in the form that models read: numbers, keys of tables, targets.
//!
//! Invariant: row *i* of each is the same row of the file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use ndarray::{Array2, ArrayView2};

/// Numbers and keys that are held in memory at a time.
const MOST_VALUES: usize = 1 << 22;

/// Examples that are held in memory at a time.
const MOST_ROWS: usize = 1 << 16;

/// *n* examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    numbers: Vec<f32>,
    num_numbers: usize,
    keys: Vec<i64>,
    num_keys: usize,
    targets: Vec<f32>,
}

/// The distinct keys of some examples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    /// The keys, ascending.
    pub unique: Vec<i64>,
    /// Where each key of each example is among them: *n* x [`per_row`](Self::per_row).
    pub places: Vec<u32>,
    /// How many keys an example has.
    pub per_row: usize,
}

/// How many examples of so many values are taken at a time, where a file may have any number.
pub(crate) fn rows_at_a_time(values: usize) -> usize {
    (MOST_VALUES / values.max(1)).clamp(1, MOST_ROWS)
}

impl Examples {
    pub(crate) fn with_capacity(rows: usize, num_numbers: usize, num_keys: usize) -> Self {
        Self {
            numbers: Vec::with_capacity(rows.saturating_mul(num_numbers)),
            num_numbers,
            keys: Vec::with_capacity(rows.saturating_mul(num_keys)),
            num_keys,
            targets: Vec::with_capacity(rows),
        }
    }

    pub(crate) fn add_number(&mut self, number: f32) {
        self.numbers.push(number);
    }

    pub(crate) fn add_key(&mut self, key: i64) {
        self.keys.push(key);
    }

    /// The end of a row.
    pub(crate) fn add_target(&mut self, target: f32) {
        self.targets.push(target);
    }

    /// Takes back the parts of an unfinished row.
    pub(crate) fn forget_half(&mut self) {
        self.numbers.truncate(self.targets.len() * self.num_numbers);
        self.keys.truncate(self.targets.len() * self.num_keys);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Their numbers: *n* x [`num_numbers`](super::Features::num_numbers).
    ///
    /// # Panics
    /// Never: each row has as many.
    #[must_use]
    pub fn numbers(&self) -> ArrayView2<'_, f32> {
        let shape = (self.len(), self.num_numbers);
        ArrayView2::from_shape(shape, &self.numbers).expect("each row has as many numbers")
    }

    /// Their targets: places of classes, or standardised numbers; NaN if none was needed.
    #[must_use]
    pub fn targets(&self) -> &[f32] {
        &self.targets
    }

    /// Some of each example's keys, by their places in a row.
    ///
    /// # Panics
    /// When a row has fewer.
    #[must_use]
    pub fn key_set(&self, range: Range<usize>) -> KeySet {
        let per_row = range.len();
        let rows = self.keys.chunks_exact(self.num_keys.max(1));
        let all = || rows.clone().flat_map(|row| &row[range.clone()]);
        let count = self.len() * per_row;
        let mut found: HashMap<i64, u32, BuildHasherDefault<AsItIs>> = HashMap::default();
        found.reserve(count / 2);
        let (mut unique, mut first_seen) = (Vec::new(), Vec::with_capacity(count));
        for key in all() {
            let place = match found.entry(*key) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let place = unique.len() as u32;
                    unique.push((*key, place));
                    *entry.insert(place)
                }
            };
            first_seen.push(place);
        }
        // Who adds the rows of many gradients, or looks rows up, goes through them in order.
        unique.sort_unstable();
        let mut sorted = vec![0; unique.len()];
        for (place, (_, seen)) in unique.iter().enumerate() {
            sorted[*seen as usize] = place as u32;
        }
        let places = first_seen.into_iter().map(|seen| sorted[seen as usize]).collect();
        KeySet { unique: unique.into_iter().map(|(key, _)| key).collect(), places, per_row }
    }
}

impl KeySet {
    /// The places of an example's keys.
    #[must_use]
    pub fn row(&self, row: usize) -> &[u32] {
        &self.places[row * self.per_row..(row + 1) * self.per_row]
    }

    /// The number of their examples.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.places.len().checked_div(self.per_row).unwrap_or(0)
    }

    /// For each example the sum of its keys' rows: *n* x width.
    #[must_use]
    pub fn sums(&self, rows: &ArrayView2<'_, f32>) -> Array2<f32> {
        let mut sums = Array2::zeros((self.rows(), rows.ncols()));
        for (row, mut sum) in sums.outer_iter_mut().enumerate() {
            for place in self.row(row) {
                sum += &rows.row(*place as usize);
            }
        }
        sums
    }

    /// The gradient of each key's row, from that of each example's sum.
    #[must_use]
    pub fn spread(&self, by_sum: &Array2<f32>) -> Array2<f32> {
        let mut rows = Array2::zeros((self.unique.len(), by_sum.ncols()));
        for (row, by_sum) in by_sum.outer_iter().enumerate() {
            for place in self.row(row) {
                let mut own = rows.row_mut(*place as usize);
                own += &by_sum;
            }
        }
        rows
    }
}

/// Keys of texts are already hashes; other keys are not ours.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i64(&mut self, key: i64) {
        self.0 = key.cast_unsigned();
    }
}
