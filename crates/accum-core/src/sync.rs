//! The one place that names the lock and the shared pointer.
//!
//! Under `cfg(loom)` a model checker's own would be named here, and nothing else would change.
//! Invariant: a lock whose holder panicked is still a lock; nobody panics because somebody did.

pub(crate) use std::sync::{Arc, Mutex};

use std::sync::{MutexGuard, PoisonError};

/// Locks, also after a panic of somebody who held it: no state here is left half changed by one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
