//! What users see of the crate, in one binary.

mod declarations;
#[cfg(feature = "test-util")]
mod histories;
mod lookups;
#[cfg(feature = "test-util")]
mod partitions;
mod saves;
