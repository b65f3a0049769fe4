//! The reference model of a table, and histories to compare with it: for property tests.
//!
//! ```
//! use embedding_table::test_util::History;
//! use proptest::strategy::Strategy;
//! use proptest::test_runner::TestRunner;
//!
//! let mut runner = TestRunner::deterministic();
//! runner.run(&History::up_to(8), |history| Ok(history.check()))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod history;
mod model;
mod stores;

pub use history::History;
pub use model::{Gradients, Model, Row};
pub use stores::{SLOTS, Stores, update};
