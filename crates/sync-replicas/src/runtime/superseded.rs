//! How a replica learns at once that it computes in vain (P-13), and how its pauses end.
//!
//! One watch for the whole trainer, so that closing a step costs the same for any number of
//! replicas; a flag of its own for each replica, for shares that another was first with.

use std::time::{Duration, Instant};

use accum_core::{GlobalStep, LocalStep};

use crate::sync::{Arc, AtomicBool, AtomicI64, Condvar, Mutex, Ordering, lock};

/// The current step, and whether training has ended; readable without a lock, waitable with one.
#[derive(Debug)]
pub(crate) struct Watch {
    step: AtomicI64,
    ended: AtomicBool,
    lock: Mutex<()>,
    moved: Condvar,
}

impl Watch {
    pub(crate) fn new(step: GlobalStep) -> Self {
        Self {
            step: AtomicI64::new(step.get()),
            ended: AtomicBool::new(false),
            lock: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    pub(crate) fn advance(&self, step: GlobalStep) {
        self.step.store(step.get(), Ordering::Release);
        self.wake();
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn begin(&self, step: GlobalStep) {
        self.step.store(step.get(), Ordering::Release);
        self.ended.store(false, Ordering::Release);
    }

    /// Wakes whoever pauses. The lock makes sure that nobody is between looking and sleeping.
    pub(crate) fn wake(&self) {
        drop(lock(&self.lock));
        self.moved.notify_all();
    }
}

/// Whether one piece of work has become useless.
#[derive(Clone, Debug)]
pub struct Superseded {
    watch: Arc<Watch>,
    flag: Arc<AtomicBool>,
    local_step: LocalStep,
    told: bool,
}

impl Superseded {
    pub(crate) fn new(
        watch: Arc<Watch>,
        flag: Arc<AtomicBool>,
        local_step: LocalStep,
        told: bool,
    ) -> Self {
        Self { watch, flag, local_step, told }
    }

    /// Whether its gradient would be dropped, or training has ended. Where superseded replicas are
    /// not told (the `reference` preset), only the end counts.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.watch.has_ended()
            || (self.told
                && (self.flag.load(Ordering::Acquire)
                    || self.watch.step.load(Ordering::Acquire) > self.local_step.get()))
    }

    /// Waits for `duration` or until it is set; returns whether it is.
    #[must_use]
    pub fn wait(&self, duration: Duration) -> bool {
        let begun = Instant::now();
        let mut guard = lock(&self.watch.lock);
        while !self.is_set() {
            let left = duration.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return false;
            }
            guard = self
                .watch
                .moved
                .wait_timeout(guard, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
        }
        true
    }
}
