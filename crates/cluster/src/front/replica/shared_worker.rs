//! What a replica of the user's own loop, its step and its push share.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use sync_replicas::Scalar;
use tokio::runtime::{EnterGuard, Handle};

use super::super::ProcessHandle;
use super::Worker;

/// What a replica and its step share.
pub(super) struct SharedWorker<T: Scalar> {
    /// There until the replica ends; locked while a caller waits with it.
    pub(super) worker: Mutex<Option<Worker<T>>>,
    pub(super) handle: Handle,
    /// Told when the replica is dropped.
    pub(super) abandoned: ProcessHandle,
}

impl<T: Scalar> SharedWorker<T> {
    /// Tasks begun meanwhile run in the replica's runtime.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Worker<T>>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, unless another caller has it.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Option<Worker<T>>>> {
        match self.worker.try_lock() {
            Ok(worker) => Some(worker),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}
