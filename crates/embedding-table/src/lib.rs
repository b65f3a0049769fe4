//! Embedding tables: rows by key, larger than any vocabulary that a variable could have.
//!
//! A [`Table`] declares one: its name, its width, the values that rows start with, which keys are
//! admitted and which rows are evicted. A [`TableStore`] holds the rows that updates have made. A
//! row that no update has made is a function of seed, table and key, so looking up changes nothing,
//! and which rows exist and what they hold depends on the updates alone (P-17).
//!
//! ```
//! use embedding_table::{Rows, Table, TableStore, hash_text};
//!
//! let table = Table::new("words", 2).uniform(-0.1, 0.1).seed(7);
//! let mut store = TableStore::<f32>::new(table, &[])?;
//! let keys = [hash_text("sparse"), hash_text("dense")];
//! let born = store.lookup(&keys);
//! assert_eq!((born.len(), store.len()), (4, 0));
//!
//! // One gradient for the row of the first key, applied by gradient descent.
//! let rows = Rows { keys: &keys[..1], counts: &[1], gradients: &[1.0, 2.0] };
//! store.apply(1, &rows, |row, gradient| {
//!     row.iter_mut().zip(gradient).for_each(|(x, g)| *x -= 0.5 * g);
//! })?;
//! store.finish_step(1);
//! assert_eq!(store.lookup(&keys[..1]), [born[0] - 0.5, born[1] - 1.0]);
//! assert_eq!(store.lookup(&keys[1..]), born[2..]);
//! assert_eq!(store.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | for | use |
//! |---|---|
//! | what a table is | [`Table`], [`Initializer`], [`RowAdmission`], [`Eviction`] |
//! | text as keys | [`hash_text`] |
//! | rows, and their updates | [`TableStore`] |
//! | which of several stores has a key's row | [`Table::owner`] |
//! | saving while updates go on | [`TableStore::begin_save`], a [`Saving`] |
//! | loading saved rows | [`TableStore::put`] |
//!
//! It knows no optimizer: what an update does to a row is the caller's function. It reads no clock,
//! draws no random numbers, starts no thread and needs no runtime.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod declaration;
mod initializer;
mod key;
mod number;
mod store;
#[cfg(feature = "test-util")]
pub mod test_util;

pub use crate::declaration::{EvictBy, Eviction, RowAdmission, Table, TableError};
pub use crate::initializer::Initializer;
pub use crate::key::{hash_text, place};
pub use crate::number::Number;
pub use crate::store::{Block, Change, Rows, Saving, StoreError, TableStore};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
