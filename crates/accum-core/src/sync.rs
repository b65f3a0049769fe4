//! The one place that names the lock, the shared pointer, the hand-over and the blocking wait.
//!
//! Built for the model checker (`cargo xtask loom`), they are loom's, and nothing else changes: the
//! code that it checks is the code that runs. Invariant: a lock whose holder panicked is still a
//! lock; a panic in one thread causes none in another.

#[cfg(not(all(test, loom)))]
mod named {
    pub(crate) use std::sync::{Arc, Mutex, MutexGuard};

    pub(crate) use spin_park::block_on;
    pub(crate) use tokio::sync::oneshot;
}

#[cfg(all(test, loom))]
mod named {
    pub(crate) use loom::future::block_on;
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
}

pub(crate) use self::named::*;

use std::sync::PoisonError;

/// Locks, even after a holder panicked: a panic leaves no state here half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, loom))]
pub(crate) mod oneshot;

#[cfg(all(test, not(loom)))]
mod tests;
