//! Waiting without the interpreter, so that other threads of Python run and signals are heard.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::errors;

/// How long a signal may go unheard.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for the future to complete, or for a signal whose handler raises.
pub(crate) fn wait<F>(py: Python<'_>, future: F) -> PyResult<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Some(output) = py.detach(|| poll_for(future.as_mut(), &waker, SLICE)) {
            return Ok(output);
        }
        py.check_signals()?;
    }
}

fn poll_for<F: Future>(
    mut future: Pin<&mut F>,
    waker: &Waker,
    time: Duration,
) -> Option<F::Output> {
    let deadline = Instant::now() + time;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
            return Some(output);
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        thread::park_timeout(left);
    }
}

/// Has a separate thread do what cannot be waited for in slices, and waits for that; after a signal
/// whose handler raises, the thread is left to itself.
pub(crate) fn beside<R: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> R + Send + 'static,
    mut interrupted: impl FnMut() -> bool,
) -> PyResult<R> {
    let caller = thread::current();
    let slot = Arc::new(Mutex::new(None));
    let told = Arc::clone(&slot);
    let working = thread::Builder::new().spawn(move || {
        let done = work();
        if let Ok(mut told) = told.lock() {
            *told = Some(done);
        }
        caller.unpark();
    })?;
    let mut raised = Ok(());
    loop {
        if let Some(done) = slot.lock().ok().and_then(|mut slot| slot.take()) {
            return raised.map(|()| done);
        }
        if working.is_finished() {
            return Err(errors::panicked());
        }
        py.detach(|| thread::park_timeout(SLICE));
        if let Err(error) = py.check_signals() {
            if !interrupted() {
                return Err(error);
            }
            raised = raised.and(Err(error));
        }
    }
}
