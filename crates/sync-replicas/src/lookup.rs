//! Rows of tables for one batch: the keys that it names, and their rows.
//!
//! Carries values only; the caller of the lookup knows which step they are of (P-17).

use std::borrow::Cow;

use accum_core::GlobalStep;
use ndarray::{Array2, ArrayView2};

use crate::store::Layout;
use crate::{Scalar, VariableError};

/// The keys of a batch, table by table, in any order and as often as the batch has them.
///
/// # Examples
/// ```
/// use sync_replicas::{Keys, hash_text};
///
/// let keys = Keys::new().of("users", vec![12, -7, 12]).of("words", vec![hash_text("fast")]);
/// assert_eq!(keys.iter().map(|(_, keys)| keys.len()).sum::<usize>(), 4);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    tables: Vec<(Cow<'static, str>, Vec<i64>)>,
}

/// The rows of a batch's keys, table by table, as they are at one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows<T> {
    tables: Vec<(String, Array2<T>)>,
}

/// Why a lookup failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The step was already over: its gradients would be dropped, and rows are kept of one step
    /// alone.
    // P-17
    #[error("rows of step {step} were asked for after it was over; give the step up")]
    Superseded {
        /// The step of the requested rows.
        step: GlobalStep,
    },
    /// There is no such table.
    #[error(transparent)]
    Variable(#[from] VariableError),
}

impl Keys {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the keys of a table.
    #[must_use]
    pub fn of(mut self, table: impl Into<Cow<'static, str>>, keys: Vec<i64>) -> Self {
        self.tables.push((table.into(), keys));
        self
    }

    /// Whether no table is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Tables and keys, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[i64])> {
        self.tables.iter().map(|(table, keys)| (table.as_ref(), keys.as_slice()))
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { tables: Vec::new() }
    }
}

impl<T> Rows<T> {
    /// Of no table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the rows of a table, one a key.
    #[must_use]
    pub fn with(mut self, table: impl Into<String>, rows: Array2<T>) -> Self {
        self.tables.push((table.into(), rows));
        self
    }

    /// The rows of a table, keys x width, in the order of the keys.
    ///
    /// # Errors
    /// [`VariableError::NotLookedUp`] names those that were.
    pub fn get(&self, table: &str) -> Result<ArrayView2<'_, T>, VariableError> {
        let found = self.tables.iter().find(|(name, _)| name == table);
        found.map(|(_, rows)| rows.view()).ok_or_else(|| {
            let known: Vec<&str> = self.tables.iter().map(|(name, _)| name.as_str()).collect();
            VariableError::NotLookedUp { name: table.to_owned(), known: known.join(", ") }
        })
    }
}

/// The number of a table, and room for the rows of so many keys.
pub(crate) fn room<T: Scalar>(
    layout: &Layout,
    table: &str,
    keys: usize,
) -> Result<(usize, Array2<T>), VariableError> {
    let number = layout.find_table(table)?;
    Ok((number, Array2::zeros((keys, layout.tables()[number].width()))))
}
