//! A training's results, as dicts: Python makes its report's objects and rows from them.

use cluster::ClusterReport;
use numpy::ToPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::Report;
use sync_replicas::engine::Tally;
use sync_replicas::record::{ReplicaOutcome, ReplicaReport, Totals};

use crate::number::Number;

pub(crate) fn report<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let replicas = report.replicas.iter().map(|it| replica(py, it));
    let dict = PyDict::new(py);
    dict.set_item("updates", report.updates)?;
    dict.set_item("step", report.global_step)?;
    dict.set_item("batches", report.batches)?;
    dict.set_item("examples", report.examples)?;
    dict.set_item("accepted", report.accepted)?;
    dict.set_item("stale", report.stale)?;
    dict.set_item("duplicates", report.duplicates)?;
    dict.set_item("seconds", report.elapsed.as_secs_f64())?;
    dict.set_item("stopped", &report.stopped)?;
    dict.set_item("replicas", replicas.collect::<PyResult<Vec<_>>>()?)?;
    Ok(dict)
}

/// What a process of a cluster did.
pub(crate) fn cluster_report<'py, T: Number>(
    py: Python<'py>,
    report: ClusterReport<T>,
) -> PyResult<Bound<'py, PyDict>> {
    let (dict, counts) = (PyDict::new(py), report.counts);
    dict.set_item("task", report.task.to_string())?;
    dict.set_item("step", report.global_step.get())?;
    dict.set_item("seconds", report.elapsed.as_secs_f64())?;
    dict.set_item("stopped", report.stopped)?;
    dict.set_item("left", report.left)?;
    dict.set_item("accepted", counts.accepted)?;
    dict.set_item("stale", counts.stale)?;
    dict.set_item("duplicates", counts.duplicates)?;
    dict.set_item("superseded", counts.superseded)?;
    dict.set_item("non_finite", counts.non_finite)?;
    dict.set_item("lost", counts.lost)?;
    dict.set_item("waited", counts.waited.as_secs_f64())?;
    let variables = PyDict::new(py);
    for (name, array) in report.variables.iter().flat_map(|all| all.iter()) {
        variables.set_item(name, array.to_pyarray(py))?;
    }
    dict.set_item("variables", report.variables.is_some().then_some(variables))?;
    Ok(dict)
}

fn replica<'py>(py: Python<'py>, report: &ReplicaReport) -> PyResult<Bound<'py, PyDict>> {
    let (outcome, failure) = match &report.outcome {
        ReplicaOutcome::Finished => ("finished", None),
        ReplicaOutcome::DataEnded => ("data ended", None),
        other => ("failed", other.failure()),
    };
    let dict = tally(py, &report.tally)?;
    dict.set_item("replica", report.replica.get())?;
    dict.set_item("batches", report.batches)?;
    dict.set_item("unused", report.unused)?;
    dict.set_item("waited", report.waited.as_secs_f64())?;
    dict.set_item("computed", report.computed.as_secs_f64())?;
    dict.set_item("outcome", outcome)?;
    dict.set_item("failure", failure)?;
    Ok(dict)
}

pub(crate) fn tally<'py>(py: Python<'py>, tally: &Tally) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("accepted", tally.accepted)?;
    dict.set_item("stale", tally.stale)?;
    dict.set_item("duplicates", tally.duplicates)?;
    dict.set_item("superseded", tally.superseded)?;
    dict.set_item("non_finite", tally.non_finite)?;
    dict.set_item("failed_batches", tally.failed_batches)?;
    dict.set_item("tokens", tally.tokens)?;
    dict.set_item("expired", tally.expired)?;
    Ok(dict)
}

pub(crate) fn totals<'py>(py: Python<'py>, totals: &Totals) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("batches", totals.batches)?;
    dict.set_item("examples", totals.examples)?;
    dict.set_item("accepted", totals.accepted)?;
    dict.set_item("stale", totals.stale)?;
    dict.set_item("duplicates", totals.duplicates)?;
    Ok(dict)
}
