//! A replica and its steps, for the user's own loops; the user sees Python's classes.
//!
//! The work is done by a [`ReplicaImpl`]: one of this process's trainer, or one of a cluster.
//! Invariant: it is used under one lock, and a second thread that finds the lock held is told so.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors;
use crate::fork_guard::ForkGuard;
use crate::outcome::Outcome;
use crate::tables::Wanted;

/// The native half of `sync_replicas.Replica`.
#[pyclass(frozen, module = "sync_replicas._native")]
pub(crate) struct Replica {
    number: u64,
    inner: Arc<Shared>,
}

/// The native half of `sync_replicas.Step`.
#[pyclass(frozen, module = "sync_replicas._native")]
pub(crate) struct Step {
    begun: Begun,
    inner: Arc<Shared>,
}

type Shared = ForkGuard<Mutex<Box<dyn ReplicaImpl>>>;

/// What a replica does, whatever its variables' number type and place. A step is named by its
/// serial number; a finished one is refused.
pub(crate) trait ReplicaImpl: Send {
    /// Waits for the next step; none when training has ended. An open step is given up.
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Begun>>;

    /// The variables of the open step, as read-only arrays.
    fn variables<'py>(&self, py: Python<'py>, serial: u64) -> PyResult<Bound<'py, PyDict>>;

    /// Copies them into writable arrays.
    fn copy_into(&self, py: Python<'_>, serial: u64, arrays: &Bound<'_, PyDict>) -> PyResult<()>;

    fn superseded(&self, serial: u64) -> PyResult<bool>;

    /// The rows of keys as they are at the open step, by table.
    fn lookup<'py>(
        &mut self,
        py: Python<'py>,
        serial: u64,
        wanted: Wanted,
    ) -> PyResult<Bound<'py, PyDict>>;

    /// Asks for the rows of the next batch before its token is there, if that saves time.
    fn prefetch(&mut self, py: Python<'_>, wanted: &Wanted) -> PyResult<()>;

    /// Pushes gradients, with the loss and the number of examples.
    fn push(
        &mut self,
        py: Python<'_>,
        serial: u64,
        gradients: &Bound<'_, PyAny>,
        batch: (Option<f64>, u64),
    ) -> PyResult<Outcome>;

    /// Gives the step up if it is open.
    fn give_up(&mut self, serial: u64);

    /// Leaves: for good, or for now, to be started again.
    fn leave(&mut self, for_now: bool);

    /// Ends its part; what it did, if nothing else tells that.
    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>>;
}

/// A step that has begun.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    /// The number of its batch.
    pub(crate) number: u64,
    /// The step of its variables.
    pub(crate) step: i64,
    /// Which of the replica's steps it is.
    pub(crate) serial: u64,
}

#[pymethods]
impl Replica {
    /// Its number.
    #[getter]
    fn number(&self) -> u64 {
        self.number
    }

    /// Waits for the next step; None when training has ended. An open step is given up.
    fn next_step(&self, py: Python<'_>) -> PyResult<Option<Step>> {
        let begun = lock(&self.inner)?.next(py)?;
        Ok(begun.map(|begun| Step { begun, inner: Arc::clone(&self.inner) }))
    }

    /// Asks for the rows of the keys that the next batch will name, by table.
    fn prefetch(&self, py: Python<'_>, ids: &Bound<'_, PyDict>) -> PyResult<()> {
        let wanted = Wanted::read(ids)?;
        lock(&self.inner)?.prefetch(py, &wanted)
    }

    /// Leaves: its token goes to another, and training goes on with the rest; `for_now` says that
    /// it will be started again, and concerns a cluster.
    #[pyo3(signature = (for_now = false))]
    fn leave(&self, py: Python<'_>, for_now: bool) -> PyResult<()> {
        let mut inner = lock(&self.inner)?;
        let inner = &mut *inner;
        py.detach(|| inner.leave(for_now));
        Ok(())
    }

    /// Ends its part; in a cluster, what it did.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        lock(&self.inner)?.finish(py)
    }
}

impl Replica {
    pub(crate) fn new(number: u64, inner: Box<dyn ReplicaImpl>) -> Self {
        Self { number, inner: Arc::new(ForkGuard::new(Mutex::new(inner))) }
    }
}

#[pymethods]
impl Step {
    /// The number of the batch to compute.
    #[getter]
    fn number(&self) -> u64 {
        self.begun.number
    }

    /// The step of its variables.
    #[getter]
    fn step(&self) -> i64 {
        self.begun.step
    }

    /// The variables to compute gradients from: read-only arrays by name.
    #[getter]
    fn variables<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        lock(&self.inner)?.variables(py, self.begun.serial)
    }

    /// Copies the variables into writable arrays of the caller's own, by name.
    fn copy_into(&self, py: Python<'_>, arrays: &Bound<'_, PyDict>) -> PyResult<()> {
        lock(&self.inner)?.copy_into(py, self.begun.serial, arrays)
    }

    /// The rows of a table's keys as they are at this step: an array in the shape of the keys, and
    /// as wide as the table.
    fn lookup<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        ids: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let wanted = Wanted::one(table, ids)?;
        let rows = lock(&self.inner)?.lookup(py, self.begun.serial, wanted)?;
        rows.as_any().get_item(table)
    }

    /// The same for several tables, by name.
    fn lookup_all<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let wanted = Wanted::read(ids)?;
        lock(&self.inner)?.lookup(py, self.begun.serial, wanted)
    }

    /// Whether its gradients would be dropped, or training has ended.
    #[getter]
    fn superseded(&self) -> PyResult<bool> {
        lock(&self.inner)?.superseded(self.begun.serial)
    }

    /// Pushes the gradients of all variables as one unit, and returns what became of them.
    #[pyo3(signature = (gradients, loss = None, examples = 0))]
    fn push(
        &self,
        py: Python<'_>,
        gradients: &Bound<'_, PyAny>,
        loss: Option<f64>,
        examples: u64,
    ) -> PyResult<Outcome> {
        lock(&self.inner)?.push(py, self.begun.serial, gradients, (loss, examples))
    }

    /// Gives the batch up: the token goes back.
    fn give_up(&self, py: Python<'_>) -> PyResult<()> {
        let mut inner = lock(&self.inner)?;
        let inner = &mut *inner;
        py.detach(|| inner.give_up(self.begun.serial));
        Ok(())
    }
}

impl Drop for Step {
    /// Gives up a step that can no longer be pushed. Should the lock be held, then by a wait for
    /// the next one, which has done that.
    fn drop(&mut self) {
        if let Ok(inner) = self.inner.get()
            && let Ok(mut inner) = inner.try_lock()
        {
            inner.give_up(self.begun.serial);
        }
    }
}

fn lock(inner: &Shared) -> PyResult<MutexGuard<'_, Box<dyn ReplicaImpl>>> {
    match inner.get()?.try_lock() {
        Ok(inner) => Ok(inner),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(errors::busy("replica")),
    }
}
