//! The one place that names where locks and shared pointers come from, so that a model checker's
//! can be put in their stead.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
