//! What became of a push, as a value: staleness is no error (P-7).

use accum_core::Applied;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// What became of a push: `Accepted(count)`, `Stale(step, now)`, `Duplicate(share)`,
/// `NotFinite()`, `Ended()`, `Lost()`.
#[pyclass(frozen, eq, module = "sync_replicas")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is part of the step, which now holds `count`.
    Accepted { count: u64 },
    /// It was computed for `step`, which is over; `now` is the step that gradients must have.
    Stale { step: i64, now: i64 },
    /// Another replica was first with this share of the step (replica order only).
    Duplicate { share: u64 },
    /// It is infinite or NaN, and was left out (with `non_finite="skip"` only).
    NotFinite {},
    /// Training ended meanwhile.
    Ended {},
    /// Will never be known (in a cluster only): servers began anew or training ended meanwhile, or
    /// this process leaves. The next step goes on, or there is none.
    Lost {},
}

#[pymethods]
impl Outcome {
    /// Whether it is part of the step.
    #[getter]
    fn accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    fn __bool__(&self) -> bool {
        self.accepted()
    }

    fn __repr__(&self) -> String {
        match self {
            Self::Accepted { count } => format!("Accepted(count={count})"),
            Self::Stale { step, now } => format!("Stale(step={step}, now={now})"),
            Self::Duplicate { share } => format!("Duplicate(share={share})"),
            Self::NotFinite {} => "NotFinite()".to_owned(),
            Self::Ended {} => "Ended()".to_owned(),
            Self::Lost {} => "Lost()".to_owned(),
        }
    }
}

impl TryFrom<sync_replicas::Outcome> for Outcome {
    type Error = PyErr;

    fn try_from(outcome: sync_replicas::Outcome) -> PyResult<Self> {
        use sync_replicas::Outcome as Fate;
        Ok(match outcome {
            Fate::Accepted { count } => Self::Accepted { count },
            Fate::Stale { local_step, global_step } => {
                Self::Stale { step: local_step.get(), now: global_step.get() }
            }
            Fate::Duplicate { share } => Self::Duplicate { share },
            Fate::NotFinite => Self::NotFinite {},
            // Variables are admitted together here.
            other => return Err(PyRuntimeError::new_err(format!("unexpected: {other:?}"))),
        })
    }
}

impl From<Applied> for Outcome {
    fn from(applied: Applied) -> Self {
        match applied {
            Applied::Accepted { count } => Self::Accepted { count },
            Applied::Stale { local_step, global_step } => {
                Self::Stale { step: local_step.get(), now: global_step.get() }
            }
        }
    }
}
