//! The threads under a coordinator: started here or registered, and joined.
//!
//! A thread counts from its registration until that is dropped, so that scoped threads and
//! threads of a foreign pool can be coordinated like those started here.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use super::{Coordinator, JoinError, State};
use crate::BoxError;
use crate::sync::{MutexGuard, wait_while};

impl Coordinator {
    /// Starts a thread that is joined with the others; its error or panic is reported.
    ///
    /// # Errors
    /// The operating system's, when it refuses a thread.
    pub fn spawn<E: Into<BoxError>>(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&Coordinator) -> Result<(), E> + Send + 'static,
    ) -> io::Result<()> {
        let name = name.into();
        let registration = self.register(name.clone());
        let id = registration.id;
        // The operating system takes no name with a zero in it.
        let builder = thread::Builder::new().name(name.replace('\0', ""));
        let handle = builder.spawn(move || registration.run(body))?;
        let mut state = self.lock();
        state.handles.retain(|(_, handle)| !handle.is_finished());
        state.handles.push((id, handle));
        Ok(())
    }

    /// Counts a thread started elsewhere, until the registration is dropped.
    pub fn register(&self, name: impl Into<String>) -> Registration {
        let name = name.into();
        let mut state = self.lock();
        let id = state.next_id();
        state.threads.insert(id, name.clone());
        Registration { coordinator: self.clone(), id, name }
    }

    /// Waits until all threads have ended, after a stop at most for `grace`.
    ///
    /// Without a stop it waits for as long as the threads run. A registered thread that calls
    /// this waits for itself.
    ///
    /// # Errors
    /// The first error reported; otherwise the names of the threads still running.
    pub fn join(&self, grace: Duration) -> Result<(), JoinError> {
        let names = self.join_leaving(grace)?;
        if names.is_empty() { Ok(()) } else { Err(JoinError::StillRunning { names, grace }) }
    }

    /// Like [`join`](Self::join), but threads still running are left and named, not an error.
    ///
    /// # Errors
    /// The first error reported.
    pub fn join_leaving(&self, grace: Duration) -> Result<Vec<String>, JoinError> {
        let idle = |state: &State| !state.threads.is_empty() && !state.should_stop();
        drop(wait_while(&self.shared.changed, self.lock(), Duration::MAX, idle));
        let (mut state, names) = self.wait_for_threads(grace);
        state.joined = true;
        let handles = std::mem::take(&mut state.handles);
        let (running, ended): (Vec<_>, Vec<_>) =
            handles.into_iter().partition(|(id, _)| state.threads.contains_key(id));
        state.handles = running;
        drop(state);
        for (_, handle) in ended {
            // Its panic, if any, was caught and reported inside the thread.
            let _ = handle.join();
        }
        match self.first_error() {
            Some(error) => Err(JoinError::Failed(error)),
            None => Ok(names),
        }
    }

    /// Waits for the threads for at most `grace`; the names of those that did not end.
    pub(super) fn wait_for_threads(&self, grace: Duration) -> (MutexGuard<'_, State>, Vec<String>) {
        let running = |state: &State| !state.threads.is_empty();
        let state = wait_while(&self.shared.changed, self.lock(), grace, running);
        let names = state.threads.values().cloned().collect();
        (state, names)
    }
}

/// A thread's place among those that a coordinator joins; given up when dropped.
#[must_use = "the thread is no longer counted when this is dropped"]
#[derive(Debug)]
pub struct Registration {
    coordinator: Coordinator,
    id: u64,
    name: String,
}

impl Registration {
    /// The coordinator the thread is registered with.
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// Runs the thread's work and reports its error or panic to the coordinator.
    pub fn run<E: Into<BoxError>>(self, body: impl FnOnce(&Coordinator) -> Result<(), E>) {
        match catch_unwind(AssertUnwindSafe(|| body(&self.coordinator))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.coordinator.request_stop_with_error(error);
            }
            Err(payload) => {
                let panicked = ThreadPanicked::new(&self.name, &*payload);
                self.coordinator.request_stop_with_error(panicked);
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if thread::panicking() {
            let (name, message) = (self.name.clone(), "see its backtrace".to_owned());
            self.coordinator.request_stop_with_error(ThreadPanicked { name, message });
        }
        self.coordinator.change(|state| state.threads.remove(&self.id));
    }
}

/// A registered thread panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("thread '{name}' panicked: {message}")]
#[non_exhaustive]
pub struct ThreadPanicked {
    /// The thread's registered name.
    pub name: String,
    /// Its panic message.
    pub message: String,
}

impl ThreadPanicked {
    pub(super) fn new(name: &str, payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self { name: name.to_owned(), message: message.unwrap_or_else(|| "no message".to_owned()) }
    }
}
