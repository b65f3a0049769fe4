//! Steps that have closed and wait for their update, and the one thread at a time that makes them.
//!
//! Invariant: while a step is due, a thread is at work on it or about to be: the thread that adds a
//! step looks, and the one that was at work looks again. While hooks and optimizers run, no lock is
//! held that others wait for, except the lock of the hooks themselves, which only `fit` takes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::shared::Shared;
use super::shared::core::ClosedStep;
use crate::Scalar;
use crate::failure::{describe, describe_panic};
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering, lock};
use engine::{ReplicaId, StopReason};

/// Called by the thread that closes a step, instead of the plain update, while hooks are installed.
pub(crate) type Monitor<T> = Box<dyn FnMut(ClosedStep<T>) -> Result<(), StopReason> + Send>;

/// What acts as the chief when a step closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateThread {
    /// The replica whose push closed it: no hand-over between threads.
    LastPusher,
    /// The chief's runner, as in TensorFlow.
    Runner,
}

/// Closed steps that are not applied yet.
pub(crate) struct Due<T: Scalar> {
    line: Mutex<Line<T>>,
    changed: Condvar,
}

struct Line<T: Scalar> {
    closings: VecDeque<ClosedStep<T>>,
    /// A thread works on one of them, perhaps this very one further up its stack, when an update
    /// lets the next step close at once.
    busy: bool,
}

impl<T: Scalar> Default for Due<T> {
    fn default() -> Self {
        let line = Line { closings: VecDeque::new(), busy: false };
        Self { line: Mutex::new(line), changed: Condvar::new() }
    }
}

impl<T: Scalar> Due<T> {
    pub(super) fn push(&self, closing: ClosedStep<T>) {
        lock(&self.line).closings.push_back(closing);
    }

    /// Forgets those of an earlier generation.
    pub(super) fn clear(&self) {
        lock(&self.line).closings.clear();
    }

    /// The next one, unless a thread is already at work, which then does this too.
    fn begin(&self) -> Option<ClosedStep<T>> {
        let mut line = lock(&self.line);
        if line.busy {
            return None;
        }
        let next = line.closings.pop_front();
        line.busy = next.is_some();
        next
    }

    fn end(&self) {
        lock(&self.line).busy = false;
    }
}

impl<T: Scalar> Shared<T> {
    /// Applies what is due, unless another thread is at work; on a replica's own thread, if
    /// `replica` names one.
    pub(crate) fn apply_due(&self, replica: Option<ReplicaId>) {
        while let Some(closing) = self.due.begin() {
            self.apply_one(closing, replica);
            self.due.end();
        }
    }

    /// Waits for a closed step; `false` once training ended or `leave` is set. For the chief's
    /// runner.
    pub(crate) fn wait_due(&self, leave: &AtomicBool) -> bool {
        let mut line = lock(&self.due.line);
        loop {
            if leave.load(Ordering::Acquire) || self.watch.has_ended() {
                return false;
            }
            if !line.closings.is_empty() {
                return true;
            }
            line = self.due.changed.wait(line).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Has the chief's runner check whether there is something to do, or whether to leave. The lock
    /// ensures that it is not between looking and sleeping.
    pub(crate) fn wake_runner(&self) {
        drop(lock(&self.due.line));
        self.due.changed.notify_all();
    }

    /// No more hooks are called; waits for those that are running.
    pub(crate) fn uninstall(&self) {
        *lock(&self.monitor) = None;
        *lock(&self.hook) = None;
    }

    fn apply_one(&self, closing: ClosedStep<T>, replica: Option<ReplicaId>) {
        let generation = closing.generation;
        if self.watch.has_ended() {
            return;
        }
        let mut monitor = lock(&self.monitor);
        let made = match &mut *monitor {
            // A restore came between, and began another life with other hooks, or none.
            Some(_) if self.published().generation != generation => return,
            Some(run) => {
                self.event(|core, now, _| core.engine.hooks_begin(replica, now));
                let made = guarded(|| run(closing));
                self.event(|core, now, _| core.engine.hooks_end(now));
                made
            }
            None => guarded(|| {
                let made = self.chief().apply(self, closing);
                made.map(drop).map_err(|error| StopReason::Failed(describe(&error)))
            }),
        };
        drop(monitor);
        if let Err(reason) = made {
            self.stop_generation(generation, reason);
        }
    }
}

/// P-1: no other thread would apply this step, so a hook's panic must not leave replicas waiting.
fn guarded(run: impl FnOnce() -> Result<(), StopReason>) -> Result<(), StopReason> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        Err(StopReason::Failed(format!("the chief panicked: {}", describe_panic(&*panic))))
    })
}
