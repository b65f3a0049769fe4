//! Requests for the end and for a checkpoint, from a signal to a training, whichever comes first.
//!
//! Handles no signals itself, so that tests and other programs can also interrupt a training.
//! Invariant: a request is never forgotten, and its sender never waits.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use sync_replicas::StopHandle;

use crate::lock::lock;

/// Ends a training cleanly: a checkpoint is written.
///
/// # Examples
/// ```
/// let interrupt = cli::system::interrupt::Interrupt::new();
/// assert!(interrupt.request()); // the first request
/// assert!(!interrupt.request()); // the user is losing patience
/// ```
#[derive(Clone, Default)]
pub struct Interrupt {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupt").field("requested", &self.requested()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    requested: bool,
    training: Option<StopHandle>,
    /// A checkpoint was requested when no saver was attached.
    save: bool,
    saver: Option<SyncSender<()>>,
}

/// A stopped training's reason.
pub(crate) const REASON: &str = "interrupted";

impl Interrupt {
    /// Nothing is requested yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the end; returns whether this was the first time.
    pub fn request(&self) -> bool {
        let mut state = lock(&self.state);
        let first = !state.requested;
        state.requested = true;
        if let Some(training) = &state.training {
            training.stop(REASON);
        }
        first
    }

    /// Whether the end was requested.
    #[must_use]
    pub fn requested(&self) -> bool {
        lock(&self.state).requested
    }

    /// Requests a checkpoint of now; training goes on.
    pub fn request_save(&self) {
        let mut state = lock(&self.state);
        match &state.saver {
            // One that waits already will be of a later moment than this.
            Some(saver) => {
                let _ = saver.try_send(());
            }
            None => state.save = true,
        }
    }

    /// Whether a checkpoint was requested since the last call, if no saver is attached.
    pub(crate) fn take_save(&self) -> bool {
        std::mem::take(&mut lock(&self.state).save)
    }

    /// The training that a request stops from now on.
    pub(crate) fn attach(&self, training: StopHandle) {
        lock(&self.state).training = Some(training);
    }

    /// What writes a checkpoint from now on, on its own thread; that ends with the last clone.
    pub(crate) fn attach_saver(&self, save: impl Fn() + Send + 'static) -> std::io::Result<()> {
        let (sender, requests) = sync_channel(1);
        let saver = std::thread::Builder::new().name("saver".to_owned());
        saver.spawn(move || requests.iter().for_each(|()| save()))?;
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.save) {
            let _ = sender.try_send(());
        }
        state.saver = Some(sender);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_request_for_a_checkpoint_is_heard_whenever_it_comes() {
        #[track_caller]
        fn check(before: bool, after: bool) {
            let (interrupt, (saved, saves)) = (Interrupt::new(), channel());
            if before {
                interrupt.request_save();
            }
            interrupt.attach_saver(move || saved.send(()).expect("is heard")).expect("starts");
            if after {
                interrupt.request_save();
            }
            drop(interrupt);
            let count = saves.iter().count();
            assert_eq!(count > 0, before || after, "{count}");
        }
        check(false, false);
        check(true, false);
        check(false, true);
        check(true, true);
    }
}
