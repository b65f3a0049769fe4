//! The chief's runner: one thread that applies steps as they close, under a coordinator.

use std::io;

use hooks::Coordinator;

use crate::Scalar;
use crate::runtime::Shared;
use crate::sync::{Arc, AtomicBool, Ordering};
use engine::StopReason;

/// The thread's body; [`ChiefQueueRunner::start`] runs it.
#[derive(Debug)]
pub struct ChiefQueueRunner<T: Scalar> {
    shared: Arc<Shared<T>>,
}

impl<T: Scalar> ChiefQueueRunner<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }

    /// Starts the thread. A stop of the coordinator ends it at once, and leaves what is due to the
    /// next one; a failed update is reported to the coordinator and ends training for all.
    ///
    /// # Errors
    /// The operating system's, when it has no thread to give.
    // P-1
    pub fn start(self, coordinator: &Coordinator) -> io::Result<()> {
        let leave = Arc::new(AtomicBool::new(false));
        let (shared, asked) = (Arc::clone(&self.shared), Arc::clone(&leave));
        let on_stop = coordinator.on_stop(move || {
            asked.store(true, Ordering::Release);
            shared.wake_runner();
        });
        coordinator.spawn("chief-queue-runner", move |_| -> Result<(), io::Error> {
            let _on_stop = on_stop;
            while self.shared.wait_due(&leave) {
                self.shared.apply_due(None);
            }
            match self.shared.core().engine.stopped() {
                Some(StopReason::Failed(reason)) => Err(io::Error::other(reason.clone())),
                _ => Ok(()),
            }
        })
    }
}
