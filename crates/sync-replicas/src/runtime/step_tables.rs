//! Rows of one step, for who computes it and finds out meanwhile which keys it needs.
//!
//! Holds no step back: once that is over, it has no rows any more (P-17).

use ndarray::Array2;

use super::shared::Shared;
use crate::store::Version;
use crate::sync::Arc;
use crate::{LookupError, Scalar};

/// The tables as they are at one step: see [`Work::tables`](crate::Work::tables).
#[derive(Clone, Debug)]
pub struct StepTables<T: Scalar> {
    shared: Arc<Shared<T>>,
    version: Version,
}

impl<T: Scalar> StepTables<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, version: Version) -> Self {
        Self { shared, version }
    }

    /// The rows of these keys, as [`StepOf::lookup`](crate::StepOf::lookup) gives them.
    ///
    /// # Errors
    /// As there.
    pub fn lookup(&self, table: &str, keys: &[i64]) -> Result<Array2<T>, LookupError> {
        self.shared.lookup(self.version, table, keys)
    }
}
