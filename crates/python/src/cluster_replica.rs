//! A replica of a cluster.
//!
//! Invariant: the open step is this replica's newest, and none is open while it waits.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cluster::{ClusterError, ClusterReplica, ClusterStep, ProcessHandle};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::Computed;

use crate::arrays::{Pushed, owned};
use crate::cause::Cause;
use crate::errors;
use crate::number::Number;
use crate::outcome::Outcome;
use crate::replica::{Begun, ReplicaImpl};
use crate::report::cluster_report;
use crate::tables::Wanted;
use crate::variable_cache::{self, VariableCache};
use crate::wait::{SLICE, beside};

/// How long a replica that will be started again may take to say so.
const FAREWELL: Duration = Duration::from_secs(5);

pub(crate) struct ClusterReplicaImpl<T: Number> {
    /// There until it has left.
    replica: Option<ClusterReplica<T>>,
    open: Option<ClusterStep<T>>,
    /// The number of steps that it has begun.
    serial: u64,
    cache: VariableCache,
    stop: ProcessHandle,
    /// Why a hook failed.
    cause: Arc<Cause>,
}

impl<T: Number> ClusterReplicaImpl<T> {
    pub(crate) fn new(replica: ClusterReplica<T>, stop: ProcessHandle, cause: Arc<Cause>) -> Self {
        let cache = VariableCache::default();
        Self { replica: Some(replica), open: None, serial: 0, cache, stop, cause }
    }

    fn open(&self, serial: u64) -> PyResult<&ClusterStep<T>> {
        self.open.as_ref().filter(|_| self.serial == serial).ok_or_else(errors::over)
    }

    fn failed(&self, error: &ClusterError) -> PyErr {
        errors::cluster(error, self.cause.take())
    }
}

impl<T: Number> ReplicaImpl for ClusterReplicaImpl<T> {
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Begun>> {
        py.detach(|| self.open = None);
        loop {
            let Some(replica) = &mut self.replica else { return Ok(None) };
            match py.detach(|| replica.next_step_within(SLICE)) {
                Ok(Poll::Pending) => py.check_signals()?,
                Ok(Poll::Ready(None)) => return Ok(None),
                Ok(Poll::Ready(Some(step))) => {
                    self.serial += 1;
                    let (number, now) = (step.number(), step.global_step().get());
                    self.open = Some(step);
                    return Ok(Some(Begun { number, step: now, serial: self.serial }));
                }
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn variables<'py>(&self, py: Python<'py>, serial: u64) -> PyResult<Bound<'py, PyDict>> {
        let step = self.open(serial)?;
        // Another life of the cluster may have other variables at the same step.
        self.cache.arrays(py, (serial, step.global_step().get()), step.variables())
    }

    fn copy_into(&self, py: Python<'_>, serial: u64, arrays: &Bound<'_, PyDict>) -> PyResult<()> {
        variable_cache::copy_into(py, self.open(serial)?.variables(), arrays)
    }

    fn superseded(&self, serial: u64) -> PyResult<bool> {
        Ok(self.open(serial)?.is_superseded())
    }

    /// By its own thread, since the wait for the servers cannot be cut into slices.
    fn lookup<'py>(
        &mut self,
        py: Python<'py>,
        serial: u64,
        wanted: Wanted,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.open(serial)?;
        let Some(step) = self.open.take() else { return Err(errors::over()) };
        let keys = wanted.keys();
        let look_up = move || {
            let rows = step.lookup_all(&keys);
            (step, rows)
        };
        let (step, rows) = beside(py, look_up, || false)?;
        self.open = Some(step);
        wanted.rows(py, &rows.map_err(|error| self.failed(&error))?)
    }

    fn prefetch(&mut self, py: Python<'_>, wanted: &Wanted) -> PyResult<()> {
        let Some(replica) = &mut self.replica else { return Ok(()) };
        let asked = py.detach(|| replica.prefetch(&wanted.keys()));
        asked.map_err(|error| self.failed(&error))
    }

    fn push(
        &mut self,
        py: Python<'_>,
        serial: u64,
        gradients: &Bound<'_, PyAny>,
        (loss, examples): (Option<f64>, u64),
    ) -> PyResult<Outcome> {
        let mut given = Pushed::<T>::read(gradients)?;
        self.open(serial)?;
        let Some(step) = self.open.take() else { return Err(errors::over()) };
        let seen = given.seen();
        let begun = py.detach(|| {
            let work = step.work();
            let gradients = owned(seen, |name, view| work.buffer_of(name, view));
            match loss {
                Some(loss) => step.begin_push(Computed { loss, examples, gradients }),
                None => step.begin_push(gradients),
            }
        });
        // After a signal the next wait hears of it.
        let mut push = begun.map_err(|error| self.failed(&error))?;
        loop {
            match py.detach(|| push.wait_within(SLICE)) {
                Ok(Poll::Pending) => py.check_signals()?,
                Ok(Poll::Ready(Some(outcome))) => return outcome.try_into(),
                Ok(Poll::Ready(None)) => return Ok(Outcome::Lost {}),
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn give_up(&mut self, serial: u64) {
        if self.serial == serial {
            self.open = None;
        }
    }

    fn leave(&mut self, for_now: bool) {
        self.open = None;
        let Some(mut replica) = self.replica.take() else { return };
        if for_now {
            self.stop.leave();
            // Its answer does not matter: there are no more requests.
            let _ = replica.next_step_within(FAREWELL);
        }
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.open = None;
        let Some(replica) = self.replica.take() else { return Ok(None) };
        match beside(py, move || replica.finish(), || false)? {
            Ok(report) => cluster_report(py, report).map(Some),
            Err(error) => Err(self.failed(&error)),
        }
    }
}
