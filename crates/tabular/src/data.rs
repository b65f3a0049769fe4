//! A file of rows as examples: numbers and keys of tables, and the value to predict.
//!
//! One pass over the file says what its columns are; after it rows are read by number, from memory
//! if the file is gzipped and from disk otherwise. Invariant: which rows are for the test depends
//! on the file and the choices alone, never on a run's seed, so that every run is judged by the
//! same rows.

mod choices;
mod condition;
mod content;
mod cross;
mod dataset;
mod encode;
mod error;
mod examples;
mod features;
mod field;
mod file_state;
mod hashed;
mod moments;
mod names;
#[cfg(feature = "parquet")]
mod parquet;
mod records;
mod roles;
mod row_file;
mod scan;
mod split;
mod targets;

#[cfg(test)]
mod tests;

pub use choices::{Choice, Choices, TestRows};
pub use condition::{Condition, ConditionError};
pub use content::Content;
pub use cross::{Cross, CrossError};
pub use dataset::{Dataset, Part, PartReader};
pub use encode::Encoder;
pub use error::{DataError, Misfit};
pub(crate) use examples::rows_at_a_time;
pub use examples::{Examples, KeySet};
pub use features::{ClassRate, Features, NumberColumn, Target, Task, TaskKind};
pub use records::Records;
