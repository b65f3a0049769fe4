//! The one clock of a trainer: tells the engine when a lease or a step's deadline has passed.
//!
//! A thread that sleeps until the next such moment; it ends with the trainer, at once.

use super::shared::Shared;
use crate::Scalar;
use crate::sync::{Arc, Condvar, Mutex, Weak, lock, thread};

/// Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    stop: Arc<(Mutex<bool>, Condvar)>,
}

impl Timekeeper {
    /// Starts the clock over a trainer, which it does not keep alive.
    pub(crate) fn start<T: Scalar>(shared: Weak<Shared<T>>) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = Arc::clone(&stop);
        thread::Builder::new().name("timekeeper".to_owned()).spawn(move || {
            let (stop, changed) = &*theirs;
            loop {
                // The trainer is let go of before sleeping, so that it can end.
                let Some(sleep) = shared.upgrade().and_then(|shared| shared.tick()) else { return };
                let stopped = lock(stop);
                if *stopped {
                    return;
                }
                let waited = changed.wait_timeout(stopped, sleep);
                if *waited.map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard) {
                    return;
                }
            }
        })?;
        Ok(Self { stop })
    }
}

impl Drop for Timekeeper {
    fn drop(&mut self) {
        let (stop, changed) = &*self.stop;
        *lock(stop) = true;
        changed.notify_all();
    }
}
