//! One stop for many threads: any may request it, all can wait for it, and it joins them
//! afterwards.
//!
//! It starts only the threads that it is asked to start and polls nothing: every wait is on one
//! condition variable that every change signals (P-1). Invariant: the first real error is kept, and
//! no user code runs under the lock.

mod state;
mod threads;

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use self::state::{FirstError, State};
pub use self::threads::{Registration, ThreadPanicked};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, lock, wait_while};
use crate::{BoxError, Failure, RunError, SharedError};

type CleanStop = dyn Fn(&(dyn Error + 'static)) -> bool + Send + Sync;

/// A handle on a shared stop; clones are the same coordinator.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use hooks::Coordinator;
///
/// let coordinator = Coordinator::new();
/// coordinator.spawn("worker", |coordinator| -> Result<(), std::io::Error> {
///     coordinator.wait_for_stop(Duration::MAX);
///     Ok(())
/// })?;
/// coordinator.request_stop("enough");
/// coordinator.join(Duration::from_secs(10))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-31
#[derive(Clone)]
pub struct Coordinator {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    clean_stop: Box<CleanStop>,
}

impl Coordinator {
    /// A coordinator for which [`RunError::EndOfInput`] and [`RunError::Stopped`] are no errors.
    pub fn new() -> Self {
        Self::with_clean_stop(|error| {
            matches!(error.downcast_ref(), Some(RunError::EndOfInput | RunError::Stopped))
        })
    }

    /// A coordinator for which the errors that `clean_stop` accepts are a plain stop.
    pub fn with_clean_stop(
        clean_stop: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (state, changed) = (Mutex::new(State::default()), Condvar::new());
        Self { shared: Arc::new(Shared { state, changed, clean_stop: Box::new(clean_stop) }) }
    }

    /// Asks all threads to stop; the first reason given is kept.
    ///
    /// All waiters wake and all [`on_stop`](Self::on_stop) callbacks have run when this returns.
    pub fn request_stop(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.change(|state| {
            state.reason.get_or_insert(reason);
        });
    }

    /// Reports an error and asks all threads to stop; returns what became of the error.
    ///
    /// The first real error wins. A recoverable one ([`Failure::Recoverable`], also in a
    /// [`RunError`]) gives way to a real one that comes after it.
    pub fn request_stop_with_error(&self, error: impl Into<BoxError>) -> Reported {
        let error = error.into();
        if (self.shared.clean_stop)(error.as_ref()) {
            self.request_stop(error.to_string());
            return Reported::Clean;
        }
        let recoverable = is_recoverable(error.as_ref());
        self.change(|state| {
            if state.joined {
                return Reported::Joined(error);
            }
            if state.failure.as_ref().is_some_and(|kept| !kept.recoverable || recoverable) {
                tracing::debug!(%error, "an error came after the first and is not kept");
                return Reported::Late(error);
            }
            state.failure = Some(FirstError { error: error.into(), recoverable });
            Reported::First
        })
    }

    /// Whether a stop was requested, by any thread and for any reason.
    pub fn should_stop(&self) -> bool {
        self.lock().should_stop()
    }

    /// The reason of the first [`request_stop`](Self::request_stop), if there was one.
    pub fn stop_reason(&self) -> Option<String> {
        self.lock().reason.clone()
    }

    /// The error that [`join`](Self::join) will return, if one was reported.
    pub fn first_error(&self) -> Option<SharedError> {
        self.lock().failure.as_ref().map(|failure| Arc::clone(&failure.error))
    }

    /// Waits until a stop is requested; `false` when `timeout` passed first.
    ///
    /// `Duration::MAX` waits for ever.
    pub fn wait_for_stop(&self, timeout: Duration) -> bool {
        let going_on = |state: &State| !state.should_stop();
        wait_while(&self.shared.changed, self.lock(), timeout, going_on).should_stop()
    }

    /// Whether the run was asked to end: a stop that no new session can mend. While a new session
    /// replaces a lost one, there is a stop for its threads, but the run does not end.
    pub fn is_ending(&self) -> bool {
        self.lock().ending()
    }

    /// Calls `callback` at every stop while the returned guard lives; at once if there already is
    /// one.
    ///
    /// A wait that is not on the coordinator wakes at a stop in this way: the callback closes the
    /// queue or cancels the take (P-1). It runs on the thread that requests the stop, and a session
    /// that is created again counts as a stop of the lost one. If the end of the run is requested
    /// during that, the callbacks are called once more; [`is_ending`](Self::is_ending) tells which.
    pub fn on_stop(&self, callback: impl Fn() + Send + Sync + 'static) -> OnStop {
        let callback: Arc<dyn Fn() + Send + Sync> = Arc::new(callback);
        let (id, stopped) = {
            let mut state = self.lock();
            let id = state.next_id();
            state.callbacks.insert(id, Arc::clone(&callback));
            (id, state.should_stop())
        };
        if stopped {
            self.call(&callback);
        }
        OnStop { coordinator: self.clone(), id }
    }

    /// Whether a real error was reported, one that no new session mends.
    pub(crate) fn failed(&self) -> bool {
        self.lock().failed()
    }

    /// The recoverable error that asks for a new session, unless the run is ending anyway.
    pub(crate) fn interruption(&self) -> Option<SharedError> {
        let state = self.lock();
        let failure = state.failure.as_ref().filter(|f| f.recoverable && state.reason.is_none());
        failure.map(|failure| Arc::clone(&failure.error))
    }

    /// Stops the threads of a lost session, though not the run.
    pub(crate) fn begin_recycle(&self) {
        self.change(|state| state.recycling = true);
    }

    /// Waits for the threads of the lost session and makes room for those of the next.
    pub(crate) fn finish_recycle(&self, grace: Duration) -> Result<(), JoinError> {
        let (mut state, names) = self.wait_for_threads(grace);
        if !names.is_empty() {
            return Err(JoinError::StillRunning { names, grace });
        }
        state.recycling = false;
        if state.failure.as_ref().is_some_and(|failure| failure.recoverable) {
            state.failure = None;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Changes the state, wakes all waiters, and calls the callbacks when this made it a stop.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, callbacks) = {
            let mut state = self.lock();
            let before = (state.should_stop(), state.ending());
            let result = change(&mut state);
            let stopped_now = !before.0 && state.should_stop() || !before.1 && state.ending();
            let callbacks: Vec<_> =
                state.callbacks.keys().filter(|_| stopped_now).copied().collect();
            (result, callbacks)
        };
        self.shared.changed.notify_all();
        for id in callbacks {
            // Those before it took time, in which its guard may have been dropped.
            let callback = self.lock().callbacks.get(&id).cloned();
            if let Some(callback) = callback {
                self.call(&callback);
            }
        }
        result
    }

    /// A panic in a callback must not take down the thread that requested the stop.
    fn call(&self, callback: &Arc<dyn Fn() + Send + Sync>) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| callback())) {
            self.request_stop_with_error(ThreadPanicked::new("on_stop callback", &*payload));
        }
    }
}

impl Default for Coordinator {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Coordinator")
            .field("should_stop", &state.should_stop())
            .field("reason", &state.reason)
            .field("threads", &state.threads.values())
            .finish_non_exhaustive()
    }
}

/// What became of a reported error.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reported {
    /// It is kept, and `join` returns it.
    First,
    /// It counts as a plain stop.
    Clean,
    /// An earlier error is kept; this one is handed back.
    Late(BoxError),
    /// The threads were joined already, so no join is left to return it; it is handed back.
    Joined(BoxError),
}

/// Keeps a stop callback registered; dropping it removes the callback.
///
/// Dropping does not wait for a call that another thread is making, or about to make, at that
/// moment; a stop that is still calling others leaves this one out.
#[must_use = "the callback is taken out when this is dropped"]
pub struct OnStop {
    coordinator: Coordinator,
    id: u64,
}

impl Drop for OnStop {
    fn drop(&mut self) {
        // The closure is dropped after the lock: its captures may use the coordinator.
        let callback = self.coordinator.lock().callbacks.remove(&self.id);
        drop(callback);
    }
}

impl fmt::Debug for OnStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnStop").finish_non_exhaustive()
    }
}

/// Why a join failed.
// R-31
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The first error that was reported.
    #[error("{0}")]
    Failed(#[source] SharedError),
    /// Threads that did not end within the grace period.
    #[error(
        "still running {grace:?} after the stop: {}; have them wait on the coordinator or end in \
         an `on_stop` callback",
        names.join(", ")
    )]
    StillRunning {
        /// Their registered names.
        names: Vec<String>,
        /// The grace period.
        grace: Duration,
    },
}

fn is_recoverable(error: &(dyn Error + 'static)) -> bool {
    let failure = match error.downcast_ref() {
        Some(RunError::Failed(failure)) => Some(failure),
        _ => error.downcast_ref(),
    };
    matches!(failure, Some(Failure::Recoverable(_)))
}
