//! A training in this process: variables, optimizer, engine, and the entry for replicas.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use numpy::{PyArrayDyn, ToPyArray};
use optim::BuiltIn;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use sync_replicas::error::VariableError;
use sync_replicas::options::{FailingBatch, NonFinite, StepTimeout, SummationOrder};
use sync_replicas::{ReplicaId, SyncReplicas, Variables};

use crate::errors;
use crate::fit::{self, Fit};
use crate::fork_guard::ForkGuard;
use crate::initial::Initial;
use crate::local_replica::LocalReplicaImpl;
use crate::number::{Number, Typed, each};
use crate::optimizers::optimizer;
use crate::replica::Replica;
use crate::report::{tally, totals};
use crate::tables::Ids;
use crate::variable_cache::{self, VariableCache};

type Inner<T> = Arc<sync_replicas::Trainer<T>>;

/// A training in one process, already started: the native half of `sync_replicas.Trainer`.
#[pyclass(frozen, subclass, module = "sync_replicas._native")]
pub(crate) struct Trainer {
    inner: ForkGuard<Typed<Inner<f32>, Inner<f64>>>,
    cache: Arc<VariableCache>,
}

/// The description of a training, beside variables and optimizer.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    pub(crate) aggregate: usize,
    pub(crate) replicas: usize,
    /// None in a cluster.
    min_replicas: Option<usize>,
    order: String,
    non_finite: String,
    failing_batch: String,
    moving_average: Option<f64>,
    averaged: Option<Vec<String>>,
    lease: Option<f64>,
    step_timeout: Option<f64>,
    step_deadline: Option<f64>,
}

#[pymethods]
impl Trainer {
    #[new]
    fn new(
        variables: &Bound<'_, PyDict>,
        optimizer: &Bound<'_, PyAny>,
        settings: Settings,
    ) -> PyResult<Self> {
        let inner = ForkGuard::with_threads(|| {
            Ok(match Initial::read(variables)? {
                Initial::F32(variables) => Typed::F32(build(variables, optimizer, settings)?),
                Initial::F64(variables) => Typed::F64(build(variables, optimizer, settings)?),
            })
        })?;
        Ok(Self { inner, cache: Arc::default() })
    }

    /// Takes part as a replica.
    fn _join(&self, py: Python<'_>, number: u64) -> PyResult<Replica> {
        let id = ReplicaId::new(number);
        each!(self.inner.get()?, inner => {
            let joined = py.detach(|| inner.replica(id)).map_err(|it| errors::join(&it))?;
            let cache = Arc::clone(&self.cache);
            let replica = LocalReplicaImpl::new(joined, cache, inner.table_reader());
            Ok(Replica::new(number, Box::new(replica)))
        })
    }

    /// Trains with threads, and returns the contents of the report.
    fn _fit<'py>(&self, py: Python<'py>, what: Fit) -> PyResult<Bound<'py, PyDict>> {
        each!(self.inner.get()?, inner => fit::run(py, inner, &self.cache, what))
    }

    /// The newest variables, whole and of one step: read-only arrays by name.
    #[getter]
    pub(crate) fn variables<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        each!(self.inner.get()?, inner => {
            let snapshot = py.detach(|| inner.snapshot());
            self.cache.of_snapshot(py, &snapshot)
        })
    }

    /// Copies the newest variables into writable arrays of the caller's own, by name.
    fn copy_into(&self, py: Python<'_>, arrays: &Bound<'_, PyDict>) -> PyResult<()> {
        each!(self.inner.get()?, inner => {
            let snapshot = py.detach(|| inner.snapshot());
            variable_cache::copy_into(py, &snapshot.variables, arrays)
        })
    }

    /// The newest rows of a table's keys: an array in the shape of the keys, and as wide as the
    /// table. A row that no update has made is as it was born.
    fn lookup<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        ids: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let ids = Ids::read(table, ids, errors::argument)?;
        each!(self.inner.get()?, inner => {
            let rows = py.detach(|| inner.lookup(table, &ids.keys));
            ids.rows(py, rows.map_err(|error| errors::variable(&error))?)
        })
    }

    /// The names of the tables.
    #[getter]
    fn tables(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        each!(self.inner.get()?, inner => {
            let snapshot = py.detach(|| inner.snapshot());
            Ok(snapshot.variables.tables().iter().map(|it| it.name().to_owned()).collect())
        })
    }

    /// How many rows a table has: those that updates have made.
    fn num_rows(&self, py: Python<'_>, table: &str) -> PyResult<usize> {
        each!(self.inner.get()?, inner => {
            let reader = inner.table_reader();
            let rows = py.detach(|| {
                reader.lookup(table, &[])?;
                Ok(reader.num_rows(table).unwrap_or_default())
            });
            rows.map_err(|error: VariableError| errors::variable(&error))
        })
    }

    /// The moving averages in place of the variables that have one; None without averages.
    #[getter]
    fn averages<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        each!(self.inner.get()?, inner => {
            let Some(averages) = py.detach(|| inner.averages()) else { return Ok(None) };
            let dict = PyDict::new(py);
            for (name, array) in averages.iter() {
                dict.set_item(name, array.to_pyarray(py))?;
            }
            Ok(Some(dict))
        })
    }

    /// How many updates were made.
    #[getter]
    fn global_step(&self, py: Python<'_>) -> PyResult<i64> {
        each!(self.inner.get()?, inner => Ok(py.detach(|| inner.snapshot().global_step.get())))
    }

    /// Batches and examples so far, by name.
    #[getter]
    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        each!(self.inner.get()?, inner => totals(py, &py.detach(|| inner.totals())))
    }

    /// One replica's counters, by name.
    fn tally<'py>(&self, py: Python<'py>, replica: u64) -> PyResult<Option<Bound<'py, PyDict>>> {
        each!(self.inner.get()?, inner => {
            let counted = py.detach(|| inner.tally(ReplicaId::new(replica)));
            counted.map(|counted| tally(py, &counted)).transpose()
        })
    }

    /// An optimizer's slot of a variable, such as "m" of Adam; None if there is none.
    fn slot<'py>(
        &self,
        py: Python<'py>,
        variable: &str,
        slot: &str,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        each!(self.inner.get()?, inner => {
            let found = py.detach(|| inner.slot(variable, slot));
            Ok(found.map(|array| PyArrayDyn::from_owned_array(py, array).into_any()))
        })
    }

    /// Ends training: every wait returns at once, and no error is raised.
    #[pyo3(signature = (reason = "stopped"))]
    fn stop(&self, py: Python<'_>, reason: &str) -> PyResult<()> {
        each!(self.inner.get()?, inner => py.detach(|| inner.stop_handle().stop(reason)));
        Ok(())
    }

    /// Writes a checkpoint, keeping the `keep` newest; returns its path. Steps go on meanwhile.
    #[pyo3(signature = (folder, keep = 3))]
    fn save(&self, py: Python<'_>, folder: PathBuf, keep: usize) -> PyResult<PathBuf> {
        each!(self.inner.get()?, inner => {
            py.detach(|| inner.save(&folder, keep)).map_err(|error| errors::checkpoint(&error))
        })
    }

    /// Goes on from a checkpoint, or the newest in a folder; returns its step. Replicas that joined
    /// before must join again.
    fn restore(&self, py: Python<'_>, path: PathBuf) -> PyResult<i64> {
        each!(self.inner.get()?, inner => {
            let step = py.detach(|| inner.restore(&path));
            Ok(step.map_err(|error| errors::checkpoint(&error))?.get())
        })
    }
}

fn build<T: Number>(
    variables: Variables<T>,
    given: &Bound<'_, PyAny>,
    settings: Settings,
) -> PyResult<Inner<T>> {
    let py = given.py();
    let described = describe(optimizer(given, &variables)?, settings)?;
    let built = py.detach(|| described.build(variables)).map_err(|error| errors::build(&error))?;
    Ok(Arc::new(built))
}

pub(crate) fn describe(rule: BuiltIn, settings: Settings) -> PyResult<SyncReplicas<BuiltIn>> {
    let mut described = SyncReplicas::new(rule)
        .replicas_to_aggregate(settings.aggregate)
        .total_num_replicas(settings.replicas)
        .order(chosen::<SummationOrder>("order", &settings.order)?)
        .non_finite(chosen::<NonFinite>("non_finite", &settings.non_finite)?)
        .failing_batch(chosen::<FailingBatch>("failing_batch", &settings.failing_batch)?);
    if let Some(least) = settings.min_replicas {
        described = described.min_replicas(least);
    }
    if let Some(decay) = settings.moving_average {
        described = described.moving_average(decay);
    }
    if let Some(names) = settings.averaged {
        described = described.variables_to_average(names);
    }
    if let Some(lease) = settings.lease {
        described = described.lease(seconds("lease", lease)?);
    }
    if let Some(timeout) = settings.step_timeout {
        let timeout = match timeout {
            f64::INFINITY => StepTimeout::Never,
            timeout => StepTimeout::After(seconds("step_timeout", timeout)?),
        };
        described = described.step_timeout(timeout);
    }
    if let Some(deadline) = settings.step_deadline {
        described = described.step_deadline(seconds("step_deadline", deadline)?);
    }
    Ok(described)
}

fn seconds(name: &str, given: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(given)
        .map_err(|_| errors::argument(&format!("{name}: expected seconds from 0, got {given}")))
}

/// The value of a setting that is one of a few words: those of checkpoints and definitions.
pub(crate) fn chosen<V: DeserializeOwned>(name: &str, word: &str) -> PyResult<V> {
    V::deserialize(word.into_deserializer())
        .map_err(|error: value::Error| errors::argument(&format!("{name}: {error}")))
}
