//! What Python's own code raised, kept for the error that a training ends with.

use std::sync::Mutex;

use pyo3::prelude::*;
use sync_replicas::BoxError;

/// The first exception of Python's code, which a failed training names as its cause.
#[derive(Default)]
pub(crate) struct Cause(Mutex<Option<PyErr>>);

impl Cause {
    /// Keeps it if it is the first; returns what the engine is told of it.
    pub(crate) fn keep(&self, error: PyErr) -> BoxError {
        if let Ok(mut first) = self.0.lock() {
            first.get_or_insert_with(|| Python::attach(|py| error.clone_ref(py)));
        }
        Box::new(error)
    }

    pub(crate) fn take(&self) -> Option<PyErr> {
        self.0.lock().ok().and_then(|mut first| first.take())
    }
}
