//! `fit` with replicas whose model, data and hooks are Python's.
//!
//! Each replica is a thread of the engine's, which has the interpreter only while it runs Python.
//! The calling thread waits meanwhile, and hears signals.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::driver::Generation;
use sync_replicas::error::FitError;
use sync_replicas::{
    BatchSource, BoxError, Computed, Hooks, Model, ReplicaId, Report, Snapshot, StepTables,
    Trainer, Variables,
};

use crate::arrays::{Pushed, owned};
use crate::cause::Cause;
use crate::errors;
use crate::hook::{self, Named};
use crate::number::Number;
use crate::report::report;
use crate::tables::Wanted;
use crate::variable_cache::{self, VariableCache};
use crate::wait::SLICE;

/// The arguments of a `fit`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Fit {
    /// A replica's number to `(batch, compute)`, called on its thread.
    replica: Py<PyAny>,
    steps: Option<i64>,
    hooks: Vec<Named>,
    /// Folder, every so many updates, how many are kept.
    checkpoints: Option<(PathBuf, u64, usize)>,
    metrics: Option<PathBuf>,
    nan_guard: bool,
}

/// The order for one batch, while it is computed.
#[pyclass(frozen, module = "sync_replicas._native")]
pub(crate) struct Work {
    /// The replica that computes.
    #[pyo3(get)]
    replica: u64,
    /// The step of the variables.
    #[pyo3(get)]
    step: i64,
    /// The number of the batch.
    #[pyo3(get)]
    number: u64,
    superseded: sync_replicas::Cancellation,
    /// Until it is computed.
    values: Mutex<Option<Arc<dyn AnyStepValues>>>,
    cache: Arc<VariableCache>,
}

/// What a batch is computed from: the variables of its step, and the rows of tables.
struct StepValues<T: Number> {
    snapshot: Snapshot<T>,
    tables: Option<StepTables<T>>,
}

/// The same of either number type.
trait AnyStepValues: Send + Sync {
    fn variables<'py>(
        &self,
        py: Python<'py>,
        cache: &VariableCache,
    ) -> PyResult<Bound<'py, PyDict>>;

    fn copy_into(&self, py: Python<'_>, arrays: &Bound<'_, PyDict>) -> PyResult<()>;

    fn look_up<'py>(&self, py: Python<'py>, wanted: &Wanted) -> PyResult<Bound<'py, PyDict>>;
}

/// Python's callables as a model and its data.
struct Callables {
    replica: Py<PyAny>,
    cache: Arc<VariableCache>,
    cause: Arc<Cause>,
}

/// One replica's: the source of batches, and the computation; or why there is none.
struct Source {
    made: Result<(Py<PyAny>, Py<PyAny>), Option<BoxError>>,
    cause: Arc<Cause>,
}

impl<T: Number> AnyStepValues for StepValues<T> {
    fn variables<'py>(
        &self,
        py: Python<'py>,
        cache: &VariableCache,
    ) -> PyResult<Bound<'py, PyDict>> {
        cache.of_snapshot(py, &self.snapshot)
    }

    fn copy_into(&self, py: Python<'_>, arrays: &Bound<'_, PyDict>) -> PyResult<()> {
        variable_cache::copy_into(py, &self.snapshot.variables, arrays)
    }

    fn look_up<'py>(&self, py: Python<'py>, wanted: &Wanted) -> PyResult<Bound<'py, PyDict>> {
        wanted.look_up(py, self.tables.as_ref().ok_or_else(errors::over)?)
    }
}

#[pymethods]
impl Work {
    /// The variables to compute gradients from: read-only arrays by name.
    #[getter]
    fn variables<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.values()?.variables(py, &self.cache)
    }

    /// Copies the variables into writable arrays of the caller's own, by name.
    fn copy_into(&self, py: Python<'_>, arrays: &Bound<'_, PyDict>) -> PyResult<()> {
        self.values()?.copy_into(py, arrays)
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
        self.values()?.look_up(py, &wanted)?.as_any().get_item(table)
    }

    /// Whether its gradients would be dropped, or training has ended.
    #[getter]
    fn superseded(&self) -> bool {
        self.superseded.is_cancelled()
    }
}

impl Work {
    fn values(&self) -> PyResult<Arc<dyn AnyStepValues>> {
        let values = self.values.lock().map_err(|_| errors::over())?;
        values.as_ref().map(Arc::clone).ok_or_else(errors::over)
    }

    /// Releases the variables, so that an update can be made in place.
    fn close(&self) {
        if let Ok(mut values) = self.values.lock() {
            *values = None;
        }
    }
}

impl BatchSource for Source {
    type Batch = Result<(Py<PyAny>, Py<PyAny>), BoxError>;

    fn batch(&mut self, number: u64) -> Option<Self::Batch> {
        let (batch, compute) = match &mut self.made {
            Ok(made) => made,
            Err(error) => return error.take().map(Err),
        };
        Python::attach(|py| match batch.call1(py, (number,)) {
            Ok(batch) => Some(Ok((compute.clone_ref(py), batch))),
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => None,
            Err(error) => Some(Err(self.cause.keep(error))),
        })
    }
}

impl<T: Number> Model<T> for Callables {
    type Batch = <Source as BatchSource>::Batch;

    fn gradients(
        &self,
        variables: &Variables<T>,
        batch: &Self::Batch,
        work: &sync_replicas::Work<'_, T>,
    ) -> Result<Option<Computed<T>>, BoxError> {
        let (compute, batch) = match batch {
            Ok(it) => it,
            Err(error) => return Err(error.to_string().into()),
        };
        let snapshot = Snapshot {
            global_step: work.step,
            generation: Generation::default(),
            variables: variables.clone(),
        };
        let order = Work {
            replica: work.replica.get(),
            step: work.step.get(),
            number: work.number,
            superseded: work.cancellation(),
            values: Mutex::new(Some(Arc::new(StepValues { snapshot, tables: work.tables() }))),
            cache: Arc::clone(&self.cache),
        };
        let computed = Python::attach(|py| {
            let order = Bound::new(py, order)?;
            let computed = compute.call1(py, (&order, batch));
            order.get().close();
            let Some((loss, examples, gradients)) =
                computed?.extract::<Option<(f64, u64, Bound<'_, PyAny>)>>(py)?
            else {
                return Ok(None);
            };
            let mut given = Pushed::<T>::read(&gradients)?;
            let seen = given.seen();
            let gradients = py.detach(|| owned(seen, |name, view| work.buffer_of(name, view)));
            Ok(Some(Computed { loss, examples, gradients }))
        });
        computed.map_err(|error| self.cause.keep(error))
    }
}

impl Callables {
    fn source(&self, id: ReplicaId) -> Source {
        let made = Python::attach(|py| {
            self.replica.call1(py, (id.get(),))?.extract::<(Py<PyAny>, Py<PyAny>)>(py)
        });
        let made = made.map_err(|error| Some(self.cause.keep(error)));
        Source { made, cause: Arc::clone(&self.cause) }
    }
}

/// Trains; a signal whose handler raises ends it once each replica has done its batch.
pub(crate) fn run<'py, T: Number>(
    py: Python<'py>,
    trainer: &Arc<Trainer<T>>,
    cache: &Arc<VariableCache>,
    what: Fit,
) -> PyResult<Bound<'py, PyDict>> {
    let cause = Arc::new(Cause::default());
    let hooks = hooks(&what, cache, &cause)?;
    // Snapshots of this life are numbered by their steps alone.
    let callables = Callables { replica: what.replica, cache: Arc::default(), cause };
    let (ended, interrupted) = py.detach(|| watch(trainer, &callables, hooks));
    if let Some(interrupted) = interrupted {
        return Err(interrupted);
    }
    match ended {
        Ok(ended) => report(py, &ended),
        Err(error) => Err(errors::training(&error, callables.cause.take())),
    }
}

fn watch<T: Number>(
    trainer: &Trainer<T>,
    callables: &Callables,
    hooks: Hooks<T>,
) -> (Result<Report, FitError>, Option<PyErr>) {
    let stop = trainer.stop_handle();
    let caller = thread::current();
    thread::scope(|scope| {
        let fit = scope.spawn(|| {
            let ended = trainer.fit(callables, |id| callables.source(id), hooks);
            caller.unpark();
            ended
        });
        let mut interrupted = None;
        while !fit.is_finished() {
            thread::park_timeout(SLICE);
            if let Err(raised) = Python::attach(|py| py.check_signals()) {
                stop.stop("interrupted");
                interrupted.get_or_insert(raised);
            }
        }
        match fit.join() {
            Ok(ended) => (ended, interrupted),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn hooks<T: Number>(
    what: &Fit,
    cache: &Arc<VariableCache>,
    cause: &Arc<Cause>,
) -> PyResult<Hooks<T>> {
    let mut hooks = Hooks::new();
    if let Some(path) = &what.metrics {
        hooks = hooks.metrics(path)?;
    }
    if what.nan_guard {
        hooks = hooks.nan_guard();
    }
    for hook in hook::hooks(&what.hooks, cache, cause) {
        hooks = hooks.hook(hook);
    }
    if let Some((folder, every, keep)) = &what.checkpoints {
        hooks = hooks.checkpoints(folder, *every, *keep);
    }
    if let Some(steps) = what.steps {
        hooks = hooks.stop_at_step(steps);
    }
    Ok(hooks)
}
