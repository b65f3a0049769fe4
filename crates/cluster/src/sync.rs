//! The one way in which this crate locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, even after a panic under the lock: its data is whole between two statements.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
