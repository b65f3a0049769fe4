//! A forked process has its parent's memory and none of its threads.
//!
//! Functions that need threads, or that hold locks a parent's thread may have had, report so at
//! once in the child, instead of waiting for ever. Invariant: nothing of an earlier life is locked,
//! waited for or dropped in a later one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;

use crate::errors;

/// How many forks lie between this process and the one that loaded the module.
static LIFE: AtomicU64 = AtomicU64::new(0);
/// Whether a trainer was made, whose threads a child does not have.
static THREADS: AtomicBool = AtomicBool::new(false);

/// Called by Python in the child of each fork.
#[pyfunction]
#[pyo3(name = "_forked")]
pub(crate) fn forked() {
    LIFE.fetch_add(1, Relaxed);
}

/// An object that is useful only in the process that made it.
pub(crate) struct ForkGuard<T> {
    life: u64,
    value: Option<T>,
}

impl<T> ForkGuard<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { life: LIFE.load(Relaxed), value: Some(value) }
    }

    /// The same for one that starts threads, which a child of a process that had some cannot.
    pub(crate) fn with_threads(make: impl FnOnce() -> PyResult<T>) -> PyResult<Self> {
        if LIFE.load(Relaxed) > 0 && THREADS.load(Relaxed) {
            return Err(errors::forked());
        }
        let made = Self::new(make()?);
        THREADS.store(true, Relaxed);
        Ok(made)
    }

    /// # Errors
    /// `ForkError` in a child of the process that made it.
    pub(crate) fn get(&self) -> PyResult<&T> {
        match &self.value {
            Some(value) if self.life == LIFE.load(Relaxed) => Ok(value),
            _ => Err(errors::forked()),
        }
    }
}

impl<T> Drop for ForkGuard<T> {
    fn drop(&mut self) {
        if self.life != LIFE.load(Relaxed) {
            // Its threads are not here to be told or waited for.
            std::mem::forget(self.value.take());
        }
    }
}
