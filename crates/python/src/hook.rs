//! Python's callables between two updates.

use std::sync::{Arc, Mutex};

use hooks::{Failure, Hook, RunContext, StepReport};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::ChiefSession;

use crate::cause::Cause;
use crate::number::Number;
use crate::variable_cache::VariableCache;

/// A finished update, as a hook sees it: variables, loss and step belong together.
#[pyclass(frozen, module = "sync_replicas")]
pub(crate) struct Update {
    /// The global step that it made.
    #[pyo3(get)]
    step: i64,
    /// The mean loss of its gradients, before the update.
    #[pyo3(get)]
    loss: Option<f64>,
    /// Further numbers by name.
    #[pyo3(get)]
    scalars: Py<PyDict>,
    variables: Py<PyDict>,
    reason: Mutex<Option<String>>,
}

#[pymethods]
impl Update {
    /// The variables after it: read-only arrays by name.
    #[getter]
    fn variables<'py>(&self, py: Python<'py>) -> Bound<'py, PyDict> {
        self.variables.bind(py).clone()
    }

    /// Ends training after this update.
    #[pyo3(signature = (reason = "a hook has seen enough"))]
    fn stop(&self, reason: &str) {
        if let Ok(mut kept) = self.reason.lock() {
            kept.get_or_insert_with(|| reason.to_owned());
        }
    }
}

/// A hook as given: its name, every so many updates, the callable.
pub(crate) type Named = (String, u64, Py<PyAny>);

/// A callable, called every so many updates.
pub(crate) struct PyHook {
    name: String,
    every: u64,
    call: Py<PyAny>,
    cache: Arc<VariableCache>,
    cause: Arc<Cause>,
}

/// The described hooks.
pub(crate) fn hooks(
    given: &[Named],
    cache: &Arc<VariableCache>,
    cause: &Arc<Cause>,
) -> Vec<PyHook> {
    let hook = |(name, every, call): &Named| PyHook {
        name: name.clone(),
        every: (*every).max(1),
        call: Python::attach(|py| call.clone_ref(py)),
        cache: Arc::clone(cache),
        cause: Arc::clone(cause),
    };
    given.iter().map(hook).collect()
}

impl<T: Number> Hook<ChiefSession<T>> for PyHook {
    fn name(&self) -> &str {
        &self.name
    }

    fn after_run(
        &mut self,
        session: &mut ChiefSession<T>,
        context: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        if !report.global_step.unsigned_abs().is_multiple_of(self.every) {
            return Ok(());
        }
        let snapshot = session.snapshot();
        let called = Python::attach(|py| {
            let scalars = PyDict::new(py);
            for (name, value) in &report.scalars {
                scalars.set_item(name.as_ref(), value)?;
            }
            let update = Update {
                step: report.global_step,
                loss: report.loss,
                scalars: scalars.unbind(),
                variables: self.cache.of_snapshot(py, &snapshot)?.unbind(),
                reason: Mutex::default(),
            };
            let update = Bound::new(py, update)?;
            self.call.call1(py, (&update,))?;
            Ok(update.get().reason.lock().ok().and_then(|mut reason| reason.take()))
        });
        match called {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => {
                context.request_stop(reason);
                Ok(())
            }
            Err(error) => Err(Failure::Fatal(self.cause.keep(error))),
        }
    }
}
