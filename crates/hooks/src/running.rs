//! Which hook is running, to tell why a step takes so long.
//!
//! Read from other threads while the session is in use; it decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A view of the hook that a [`MonitoredSession`](crate::MonitoredSession) is running.
#[derive(Clone, Debug)]
pub struct RunningHook {
    names: Arc<[String]>,
    /// Its place in the list, or past its end when none is running.
    place: Arc<AtomicUsize>,
}

impl RunningHook {
    pub(crate) fn new(names: impl Iterator<Item = String>) -> Self {
        Self { names: names.collect(), place: Arc::new(AtomicUsize::new(usize::MAX)) }
    }

    /// Its name; `None` between two calls.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.names.get(self.place.load(Ordering::Relaxed)).map(String::as_str)
    }

    pub(crate) fn begin(&self, place: usize) {
        self.place.store(place, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.place.store(usize::MAX, Ordering::Relaxed);
    }
}
