//! A wish from outside that this process ends its part: of a signal, most often.
//!
//! Handles no signals itself. Invariant: a wish is never forgotten, whenever it comes.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends this process's part: a worker leaves and the others go on; a parameter server ends
/// training everywhere, with a checkpoint.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<watch::Sender<bool>>);

impl StopHandle {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }

    /// Wishes for the end. Returns at once; it works from any thread, also before `fit` begins.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Waits for the wish: for a part that the cluster does not play, such as an evaluator's.
    pub async fn wished(&self) {
        // Fails only when the sender is gone, which this holds.
        let _ = self.0.subscribe().wait_for(|wished| *wished).await;
    }
}
