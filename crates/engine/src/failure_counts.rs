//! Batches at which replicas failed: one that makes three of them fail would make all fail.
//!
//! It only counts; the caller says which replica failed at what, and what follows.

use std::collections::BTreeMap;

/// How often replicas failed at each batch, by its number.
// P-5
#[derive(Clone, Debug, Default)]
pub struct FailureCounts {
    failed: BTreeMap<u64, u64>,
}

impl FailureCounts {
    /// A batch at which this many replicas have failed is given to no other.
    pub const LIMIT: u64 = 3;

    /// Counts one more replica that failed at this batch; whether to give it to no other.
    pub fn failed(&mut self, number: u64) -> bool {
        let failed = self.failed.entry(number).or_default();
        *failed = failed.saturating_add(1);
        *failed >= Self::LIMIT
    }
}
