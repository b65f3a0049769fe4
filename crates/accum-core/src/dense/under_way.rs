//! How many pushes are adding to a sum, and the wait until none is.
//!
//! It holds no data. Invariant: a pass that is dropped, even by a panic, is over.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<(Mutex<usize>, Condvar)>);

/// One push, until it is dropped.
#[derive(Debug)]
pub(super) struct Pass(UnderWay);

impl UnderWay {
    pub(super) fn begin(&self) -> Pass {
        self.change(|count| *count += 1);
        Pass(self.clone())
    }

    /// Blocks until every pass is over.
    pub(super) fn wait(&self) {
        let (count, over) = &*self.0;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(over.wait_while(count, |count| *count > 0).unwrap_or_else(PoisonError::into_inner));
    }

    fn change(&self, act: impl FnOnce(&mut usize)) {
        act(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.change(|count| *count -= 1);
        self.0.0.1.notify_all();
    }
}
