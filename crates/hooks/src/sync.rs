//! The one place that names the lock and the condition variable, and waits on it.
//!
//! Built for the model checker (`cargo xtask loom`), they are loom's, and nothing else changes: the
//! code that it checks is the code that runs. Invariant: a lock whose holder panicked is still a
//! lock.

#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

pub(crate) use std::sync::Arc;

use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Locks, even after a holder panicked: a panic leaves no state here half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits while `blocked` holds, for at most `timeout`; `Duration::MAX` waits for ever.
///
/// `Condvar::wait_timeout_while`, which loom lacks. Under loom no time passes: a wait ends by a
/// wake-up, or is a deadlock.
pub(crate) fn wait_while<'a, T>(
    changed: &Condvar,
    mut guard: MutexGuard<'a, T>,
    timeout: Duration,
    mut blocked: impl FnMut(&T) -> bool,
) -> MutexGuard<'a, T> {
    let begun = Instant::now();
    while blocked(&guard) {
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        let waited = changed.wait_timeout(guard, left);
        guard = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    guard
}
