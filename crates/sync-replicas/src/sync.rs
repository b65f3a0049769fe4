//! The one place that names locks, condition variables, atomics, threads and the blocking wait.
//!
//! Built for the model checker (`cargo xtask loom`), they are loom's, and nothing else changes: the
//! code that it checks is the code that runs. Invariant: a lock whose holder panicked is still a
//! lock.

#[cfg(not(all(test, loom)))]
mod named {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
    pub(crate) use std::sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    };
    pub(crate) use std::thread::{self, Thread, park_timeout};

    pub(crate) use spin_park::block_on;
}

#[cfg(all(test, loom))]
mod named {
    pub(crate) use loom::future::block_on;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
    pub(crate) use loom::sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    };
    pub(crate) use loom::thread::{self, Thread};

    /// No time passes: only being unparked ends it.
    pub(crate) fn park_timeout(_: std::time::Duration) {
        thread::park();
    }
}

pub(crate) use self::named::*;

// Also under loom, whose pointer can neither be weak nor copied when written to. So what it does
// not explore is the counting of references.
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::{Arc, Weak};

use std::sync::PoisonError;

/// Locks, even after a holder panicked: every change is made whole or not at all.
pub(crate) fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same for reading.
pub(crate) fn read<V>(lock: &RwLock<V>) -> RwLockReadGuard<'_, V> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// The same for writing.
pub(crate) fn write<V>(lock: &RwLock<V>) -> RwLockWriteGuard<'_, V> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
