//! A wish to stop, from a signal to a training, whichever of the two comes first.
//!
//! Handles no signals itself, so that tests and other programs can interrupt a training as well.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync_replicas::StopHandle;

/// Ends a training cleanly: a checkpoint is written.
///
/// # Examples
/// ```
/// let interrupt = cli::interrupt::Interrupt::new();
/// assert!(interrupt.request()); // the first wish
/// assert!(!interrupt.request()); // somebody is losing patience
/// ```
#[derive(Clone, Default)]
pub struct Interrupt {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    requested: bool,
    training: Option<StopHandle>,
}

/// What a stopped training says of itself.
pub(crate) const REASON: &str = "interrupted";

impl Interrupt {
    /// Nothing is wished for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the end; returns whether this was the first time.
    #[must_use]
    pub fn request(&self) -> bool {
        let mut state = self.state();
        let first = !state.requested;
        state.requested = true;
        if let Some(training) = &state.training {
            training.stop(REASON);
        }
        first
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.state().requested
    }

    /// The training that a request stops from now on.
    pub(crate) fn attach(&self, training: StopHandle) {
        self.state().training = Some(training);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
