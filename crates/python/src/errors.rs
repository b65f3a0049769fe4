//! From the crates' errors to Python's: one class each, with fields (`sync_replicas/_errors.py`).

use cluster::{ClusterError, PushError as ClusterPush, WaitError as ClusterWait};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::checkpoint::CheckpointError;
use sync_replicas::driver::describe;
use sync_replicas::engine::{JoinError, Refused};
use sync_replicas::error::{
    BuildError, FitError, GradientError, LookupError, PushError, VariableError, WaitError,
};

use crate::outcome::Outcome;

/// An error of the package's own.
pub(crate) fn new(
    class: &str,
    message: &str,
    fields: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>,
) -> PyErr {
    Python::attach(|py| {
        let made = || {
            let class = py.import("sync_replicas._errors")?.getattr(class)?;
            let named = PyDict::new(py);
            fields(&named)?;
            class.call((message,), Some(&named))
        };
        match made() {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        }
    })
}

fn plain(class: &str, message: &str) -> PyErr {
    new(class, message, |_| Ok(()))
}

pub(crate) fn forked() -> PyErr {
    let message = "it belongs to the process that made it, and this one was forked from that; \
                   make a new one here in a process that is spawned (multiprocessing: \"spawn\")";
    plain("ForkError", message)
}

pub(crate) fn busy(what: &str) -> PyErr {
    let message = format!("another thread uses this {what}; give each thread its own");
    plain("BusyError", &message)
}

/// A mistake of this package's, which has printed where it is.
pub(crate) fn panicked() -> PyErr {
    plain("Error", "a thread of the package panicked; what it printed says where")
}

/// An unknown argument.
pub(crate) fn argument(message: &str) -> PyErr {
    plain("ArgumentError", message)
}

/// A value that is not a gradient at all; the engine refuses the others.
pub(crate) fn gradient(variable: &str, message: &str) -> PyErr {
    new("GradientError", message, |fields| fields.set_item("variable", variable))
}

pub(crate) fn refused_gradient(error: &GradientError) -> PyErr {
    let variable = match error {
        GradientError::UnknownVariable { name, .. }
        | GradientError::Twice { name }
        | GradientError::Kind { name, .. }
        | GradientError::DenseForTable { name }
        | GradientError::Fit { name, .. } => Some(name.as_str()),
        _ => None,
    };
    new("GradientError", &describe(error), |fields| fields.set_item("variable", variable))
}

pub(crate) fn build(error: &BuildError) -> PyErr {
    argument(&describe(error))
}

pub(crate) fn variable(error: &VariableError) -> PyErr {
    let name = match error {
        VariableError::Twice { name }
        | VariableError::Unknown { name, .. }
        | VariableError::Table { name }
        | VariableError::NoTable { name, .. }
        | VariableError::NotLookedUp { name, .. }
        | VariableError::Dimensions { name, .. } => Some(name.as_str()),
        _ => None,
    };
    new("VariableError", &describe(error), |fields| fields.set_item("variable", name))
}

/// Why there are no rows; a finished step has the class for which loops give it up.
pub(crate) fn lookup(error: &LookupError) -> PyErr {
    match error {
        LookupError::Superseded { step } => {
            let step = step.get();
            new("SupersededError", &describe(error), |fields| fields.set_item("step", step))
        }
        LookupError::Variable(error) => variable(error),
        other => argument(&describe(other)),
    }
}

pub(crate) fn join(error: &JoinError) -> PyErr {
    plain(
        if matches!(error, JoinError::Ended) { "EndedError" } else { "JoinError" },
        &describe(error),
    )
}

/// The meaning of a refused push: at the end of training it is no error.
pub(crate) fn pushed(error: &PushError) -> PyResult<Outcome> {
    match error {
        PushError::Refused(Refused::Ended) => Ok(Outcome::Ended {}),
        PushError::Gradient(error) => Err(refused_gradient(error)),
        other => Err(plain("FencedError", &describe(other))),
    }
}

/// A step that was pushed or given up.
pub(crate) fn over() -> PyErr {
    let message = "this step is over: it was pushed or given up; wait for the next one";
    plain("StepOverError", message)
}

pub(crate) fn waited(error: &WaitError) -> PyErr {
    let message = describe(error);
    match error {
        WaitError::Overdue(overdue) => new("OverdueError", &message, |fields| {
            let missing: Vec<u64> = overdue.missing.iter().map(|it| it.get()).collect();
            fields.set_item("step", overdue.global_step.get())?;
            fields.set_item("count", overdue.count)?;
            fields.set_item("needed", overdue.needed)?;
            fields.set_item("missing", missing)
        }),
        WaitError::Refused(_) => plain("FencedError", &message),
        _ => plain("TrainingError", &message),
    }
}

pub(crate) fn checkpoint(error: &CheckpointError) -> PyErr {
    let class = match error {
        CheckpointError::NotFound { .. } => "NoCheckpointError",
        _ => "CheckpointError",
    };
    plain(class, &describe(error))
}

/// Why a training failed, with the first exception of a replica or hook as its cause.
pub(crate) fn training(error: &FitError, cause: Option<PyErr>) -> PyErr {
    let message = describe(error);
    let number =
        |(replica, reason): &(sync_replicas::ReplicaId, String)| (replica.get(), reason.clone());
    let raised = match error {
        FitError::TooFewReplicas { total, min_replicas, failed } => {
            let failed: Vec<_> = failed.iter().map(number).collect();
            new("TooFewReplicasError", &message, |fields| {
                fields.set_item("total", total)?;
                fields.set_item("min_replicas", min_replicas)?;
                fields.set_item("failed", failed)
            })
        }
        FitError::Batch { number: batch, failed } => {
            let failed: Vec<_> = failed.iter().map(number).collect();
            new("BatchError", &message, |fields| {
                fields.set_item("number", batch)?;
                fields.set_item("failed", failed)
            })
        }
        FitError::NotFinite { reason, .. } => {
            new("NotFiniteError", &message, |fields| fields.set_item("reason", reason))
        }
        FitError::Busy { .. } | FitError::Running => plain("BusyError", &message),
        _ => plain("TrainingError", &message),
    };
    Python::attach(|py| raised.set_cause(py, cause));
    raised
}

/// Why a part in a cluster failed, with the exception of a hook as its cause.
pub(crate) fn cluster(error: &ClusterError, cause: Option<PyErr>) -> PyErr {
    let class = match error {
        ClusterError::Build(error) => return build(error),
        ClusterError::Push(ClusterPush::Gradient(error)) => return refused_gradient(error),
        ClusterError::StepOver => return over(),
        ClusterError::Lookup(error) => return lookup(error),
        ClusterError::Wait(ClusterWait::Refused { .. }) => "RefusedError",
        ClusterError::Wait(ClusterWait::Replaced { .. }) => "ReplacedError",
        ClusterError::Wait(ClusterWait::Unreachable { .. } | ClusterWait::NotLetIn { .. }) => {
            "UnreachableError"
        }
        _ => "ClusterError",
    };
    let status = error.exit() as i32;
    let raised = new(class, &describe(error), |fields| fields.set_item("exit_status", status));
    Python::attach(|py| raised.set_cause(py, cause));
    raised
}
