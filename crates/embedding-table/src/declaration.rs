//! What a table is, as plain data: name, width, how rows start, which keys are admitted and
//! evicted.
//!
//! It holds no row. All who declare the same table compute the same rows and owners.

use crate::key::{hash_text, place, split_mix};
use crate::{Initializer, Number};

/// The most partitions of a table that keeps a bounded number of rows.
const MOST_PARTITIONS: u64 = 256;

/// The least rows of each of them, so that none is full much before the others.
const PARTITION_ROWS: u64 = 1024;

/// The widest row, in numbers.
const WIDEST: usize = 1 << 20;

/// A table of rows by key: a variable without a first dimension.
///
/// # Examples
/// ```
/// use embedding_table::{EvictBy, Table};
///
/// let users = Table::new("users", 64).normal(0.0, 0.01).admit_after(3).evict_unused(100_000);
/// let words = Table::new("words", 16).evict_beyond(1_000_000, EvictBy::Count);
/// assert!(users.check().is_ok() && words.check().is_ok());
/// assert!(Table::new("users", 0).check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Table {
    name: String,
    width: usize,
    initializer: Initializer,
    seed: u64,
    admission: RowAdmission,
    eviction: Eviction,
}

/// Which keys get a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RowAdmission {
    /// Every key that an update names.
    #[default]
    Always,
    /// Those with at least this many contributions in made steps, the present one included. Until
    /// then a key is counted, and its row stays as it was born.
    After(u32),
}

/// Which rows are given up, at the end of each step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Eviction {
    /// None.
    #[default]
    Never,
    /// Those that none of the last so many steps has updated.
    Unused {
        /// How many steps.
        steps: u64,
    },
    /// Those beyond so many.
    Beyond {
        /// How many are kept at most: an equal share in each of the table's partitions.
        rows: u64,
        /// Which go first.
        by: EvictBy,
    },
}

/// Which rows go first; among equals those of the smallest keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum EvictBy {
    /// Those whose last update is longest ago.
    LastUse,
    /// Those with the fewest contributions.
    Count,
}

/// A table's declaration is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table `{table}`: {what} must be {allowed}, but {got} was given")]
#[non_exhaustive]
pub struct TableError {
    /// The table.
    pub table: String,
    /// The invalid property.
    pub what: &'static str,
    /// The accepted values, in words.
    pub allowed: String,
    /// The given value.
    pub got: String,
}

impl Table {
    /// A table of this name, whose rows have this many numbers: evenly from -0.05 to 0.05 at first,
    /// of all keys, and never evicted.
    #[must_use]
    pub fn new(name: impl Into<String>, width: usize) -> Self {
        Self {
            name: name.into(),
            width,
            initializer: Initializer::Uniform { low: -0.05, high: 0.05 },
            seed: 0,
            admission: RowAdmission::Always,
            eviction: Eviction::Never,
        }
    }

    /// How rows start.
    #[must_use]
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// Rows start with one number everywhere.
    #[must_use]
    pub fn constant(self, value: f64) -> Self {
        self.initializer(Initializer::Constant(value))
    }

    /// Rows start with numbers evenly from `low` to `high`.
    #[must_use]
    pub fn uniform(self, low: f64, high: f64) -> Self {
        self.initializer(Initializer::Uniform { low, high })
    }

    /// Rows start with normal numbers of this mean and standard deviation.
    #[must_use]
    pub fn normal(self, mean: f64, deviation: f64) -> Self {
        self.initializer(Initializer::Normal { mean, deviation })
    }

    /// With another seed rows start differently; 0 when not given.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A key gets a row with its `contributions`-th contribution, counted in made steps.
    #[must_use]
    pub fn admit_after(mut self, contributions: u32) -> Self {
        self.admission = RowAdmission::After(contributions);
        self
    }

    /// A row that no update of so many steps has named is given up.
    #[must_use]
    pub fn evict_unused(mut self, steps: u64) -> Self {
        self.eviction = Eviction::Unused { steps };
        self
    }

    /// At most so many rows are kept.
    #[must_use]
    pub fn evict_beyond(mut self, rows: u64, by: EvictBy) -> Self {
        self.eviction = Eviction::Beyond { rows, by };
        self
    }

    /// Whether all of it is valid.
    ///
    /// # Errors
    /// [`TableError`], the first invalid property.
    pub fn check(&self) -> Result<(), TableError> {
        let unless = |holds: bool, what, allowed: &str, got: String| {
            let (table, allowed) = (self.name.clone(), allowed.to_owned());
            if holds { Ok(()) } else { Err(TableError { table, what, allowed, got }) }
        };
        unless(!self.name.is_empty(), "the name", "at least a letter", "none".to_owned())?;
        let width = (1..=WIDEST).contains(&self.width);
        unless(width, "the width", "from 1 to 1,048,576", self.width.to_string())?;
        let starts = self.initializer.check();
        let initializer = format!("{:?}", self.initializer);
        unless(starts.is_ok(), "the initializer", starts.err().unwrap_or(""), initializer)?;
        let after = self.admission != RowAdmission::After(0);
        unless(after, "the contributions before admission", "at least 1", "0".to_owned())?;
        let (what, least) = match self.eviction {
            Eviction::Never => return Ok(()),
            Eviction::Unused { steps } => ("the steps before eviction", steps),
            Eviction::Beyond { rows, .. } => ("the rows that are kept", rows),
        };
        unless(least > 0, what, "at least 1", least.to_string())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The numbers of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Which keys get a row.
    #[must_use]
    pub fn admission(&self) -> RowAdmission {
        self.admission
    }

    /// Which rows are given up.
    #[must_use]
    pub fn eviction(&self) -> Eviction {
        self.eviction
    }

    /// Whether rows that no update has made are the same as another declaration's.
    #[must_use]
    pub fn is_born_as(&self, other: &Self) -> bool {
        let (starts, others) = (self.initializer, other.initializer);
        (&self.name, self.width, starts, self.seed)
            == (&other.name, other.width, others, other.seed)
    }

    /// Writes a key's row as it is before any update: a function of seed, table and key.
    ///
    /// # Panics
    /// When the row is not as wide as the table.
    // P-17
    pub fn born<T: Number>(&self, key: i64, row: &mut [T]) {
        assert_eq!(row.len(), self.width, "a row of table `{}`", self.name);
        self.initializer.fill(self.stream(key), row);
    }

    /// Which of `stores` equal stores has a key's row: each has a range of places.
    ///
    /// # Examples
    /// ```
    /// use embedding_table::Table;
    ///
    /// let table = Table::new("users", 8);
    /// assert_eq!(table.owner(12, 1), 0);
    /// assert!((0..100).all(|key| table.owner(key, 3) < 3));
    /// ```
    #[must_use]
    pub fn owner(&self, key: i64, stores: usize) -> usize {
        self.owner_of_place(place(key), stores)
    }

    /// The same of a key at this [`place`]: a higher place has no lower owner.
    #[must_use]
    pub fn owner_of_place(&self, place: u64, stores: usize) -> usize {
        // Whole partitions, since a partition decides by itself which rows it gives up.
        let (at, of) = match self.eviction {
            Eviction::Beyond { .. } => (self.partition_of_place(place), self.partitions()),
            _ => (place, 0),
        };
        let of = if of == 0 { 1_u128 << 64 } else { u128::from(of) };
        (u128::from(at) * stores as u128 / of) as usize
    }

    /// Into how many parts its rows fall, each of which gives up rows by itself: by the declaration
    /// alone, so that the number of stores that share it does not matter.
    pub(crate) fn partitions(&self) -> u64 {
        match self.eviction {
            Eviction::Beyond { rows, .. } => {
                let whole = (rows / PARTITION_ROWS).clamp(1, MOST_PARTITIONS);
                1 << whole.ilog2()
            }
            _ => 1,
        }
    }

    /// The rows of a partition, at most.
    pub(crate) fn partition_rows(&self) -> u64 {
        match self.eviction {
            Eviction::Beyond { rows, .. } => rows / self.partitions(),
            _ => u64::MAX,
        }
    }

    pub(crate) fn partition(&self, key: i64) -> u64 {
        self.partition_of_place(place(key))
    }

    fn partition_of_place(&self, place: u64) -> u64 {
        // The highest bits of the place: a partition is a range of places.
        let bits = self.partitions().ilog2();
        place.checked_shr(u64::BITS - bits).unwrap_or(0)
    }

    /// The contributions with which a key is admitted.
    pub(crate) fn admitted_with(&self) -> u32 {
        match self.admission {
            RowAdmission::Always => 1,
            RowAdmission::After(contributions) => contributions,
        }
    }

    /// The state of the generator that a row's numbers come from.
    fn stream(&self, key: i64) -> u64 {
        let table = split_mix(self.seed ^ hash_text(&self.name).cast_unsigned());
        split_mix(table ^ place(key))
    }
}
