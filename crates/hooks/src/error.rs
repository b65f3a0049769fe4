//! The two shapes in which a foreign error travels through this crate.
//!
//! It defines no error: each operation has its own enum beside it.

use std::error::Error;
use std::sync::Arc;

/// An error handed in by a user, owned.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// An error that several callers may be told about: who reported it, who joins, who closes.
pub type SharedError = Arc<dyn Error + Send + Sync + 'static>;
