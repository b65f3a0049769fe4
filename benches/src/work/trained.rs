//! What the processes of a cluster train: a vector, or rows of 64 numbers, in a table or an array.
//!
//! A batch of rows has [`BATCH`] keys, all different. Batches go through all rows by a stride, so
//! that the rows of one lie far apart. Invariant: the batches are the same in every run.

use std::fmt;
use std::str::FromStr;

use embedding_table::place;
use ndarray::{Array1, Array2};
use sync_replicas::{BoxError, Gradients, IndexedSlices, Keys, Table, Variables, Work};

/// Numbers in a row.
pub(crate) const WIDTH: usize = 64;

/// Keys in a batch.
pub(crate) const BATCH: usize = 8_000;

/// Prime, so that a sweep comes to every row of any number that it does not divide.
const STRIDE: u64 = 7_368_787;

/// What is trained, and of what size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trained {
    /// All numbers of a vector.
    Vector(usize),
    /// Rows of an array, which every replica holds.
    Array(usize),
    /// Rows of a table.
    Table(usize),
    /// Rows of a table, some far more often than others: Zipf's law of exponent 1.05.
    Zipf(usize),
}

impl Trained {
    pub(super) fn variables(self) -> Variables<f32> {
        let variables = Variables::new();
        let variables = match self {
            Self::Vector(parameters) => variables.with("w", Array1::zeros(parameters)),
            Self::Array(rows) => variables.with("w", Array2::zeros((rows, WIDTH))),
            Self::Table(_) | Self::Zipf(_) => variables.with_table(Table::new("w", WIDTH)),
        };
        variables.expect("one name")
    }

    /// The number of rows, if it has some.
    pub(super) fn rows(self) -> usize {
        match self {
            Self::Vector(_) => 0,
            Self::Array(rows) | Self::Table(rows) | Self::Zipf(rows) => rows,
        }
    }

    /// The keys of each batch.
    pub(super) fn batches(self) -> Box<dyn Iterator<Item = Vec<i64>> + Send> {
        match self {
            Self::Vector(_) => Box::new(std::iter::repeat(Vec::new())),
            Self::Array(rows) | Self::Table(rows) => {
                let key = move |at: u64| (at * STRIDE % rows as u64) as i64;
                let batch = move |n: u64| (n * BATCH as u64..).take(BATCH).map(key).collect();
                Box::new((0..).map(batch))
            }
            Self::Zipf(keys) => Box::new((0..).map(move |n| zipf(keys, n))),
        }
    }

    pub(super) fn keys(self, batch: &[i64]) -> Keys {
        match self {
            Self::Vector(_) | Self::Array(_) => Keys::new(),
            Self::Table(_) | Self::Zipf(_) => Keys::new().of("w", batch.to_vec()),
        }
    }

    pub(super) fn gradients(
        self,
        batch: &[i64],
        work: &Work<'_, f32>,
    ) -> Result<Gradients<f32>, BoxError> {
        let values = || Array2::from_elem((batch.len(), WIDTH), 1e-3);
        let slices = match self {
            Self::Vector(_) => return Ok(Gradients::new().dense("w", work.buffer("w")?)),
            Self::Array(_) => IndexedSlices::new(batch.to_vec(), values(), None),
            Self::Table(_) | Self::Zipf(_) => IndexedSlices::by_key(batch.to_vec(), values()),
        };
        Ok(Gradients::new().sparse("w", slices?))
    }
}

/// The n-th batch: [`BATCH`] draws among so many keys, each once.
fn zipf(keys: usize, n: u64) -> Vec<i64> {
    const EXPONENT: f64 = 1.05;
    // The inverse of the continuous law, which is as near as the tail needs.
    let power = 1.0 - EXPONENT;
    let most = ((keys + 1) as f64).powf(power);
    let draw = |at: u64| {
        let even = place(at.cast_signed()) as f64 / u64::MAX as f64;
        ((1.0 + even * (most - 1.0)).powf(1.0 / power) as i64).min(keys as i64) - 1
    };
    let mut drawn: Vec<i64> = (n * BATCH as u64..).take(BATCH).map(draw).collect();
    drawn.sort_unstable();
    drawn.dedup();
    drawn
}

impl fmt::Display for Trained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vector(size) => write!(f, "vector={size}"),
            Self::Array(size) => write!(f, "array={size}"),
            Self::Table(size) => write!(f, "table={size}"),
            Self::Zipf(size) => write!(f, "zipf={size}"),
        }
    }
}

impl FromStr for Trained {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || format!("expected what is trained and its size, got {word:?}");
        let (what, size) = word.split_once('=').ok_or_else(wrong)?;
        let size = size.parse().map_err(|_| wrong())?;
        match what {
            "vector" => Ok(Self::Vector(size)),
            "array" => Ok(Self::Array(size)),
            "table" => Ok(Self::Table(size)),
            "zipf" => Ok(Self::Zipf(size)),
            _ => Err(wrong()),
        }
    }
}
