//! The one clock of a trainer: tells the engine when a lease or a step's deadline has passed, and
//! passes on requests to stop.
//!
//! A thread that sleeps until the next such moment; it ends with the trainer, at once.

use super::Shared;
use crate::Scalar;
use crate::sync::{Arc, AtomicBool, Ordering, Thread, Weak, park_timeout, thread};

/// Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    over: Arc<AtomicBool>,
    thread: Thread,
}

impl Timekeeper {
    /// Starts the clock over a trainer, which it does not keep alive.
    pub(crate) fn start<T: Scalar>(shared: Weak<Shared<T>>) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&over);
        let clock = thread::Builder::new().name("timekeeper".to_owned()).spawn(move || {
            while !theirs.load(Ordering::Acquire) {
                // The trainer is released before sleeping, so that it can end.
                let Some(sleep) = shared.upgrade().map(|shared| shared.tick()) else { return };
                park_timeout(sleep);
            }
        })?;
        Ok(Self { over, thread: clock.thread().clone() })
    }

    pub(crate) fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Has it look again: something may be due sooner.
    pub(crate) fn rouse(&self) {
        self.thread.unpark();
    }
}

impl Drop for Timekeeper {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        self.rouse();
    }
}
