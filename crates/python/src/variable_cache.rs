//! Variables on their way out: one copy a step for all replicas, in memory that is reused.
//!
//! Arrays are read-only and begin at 64 bytes, so that JAX takes them without a copy. Invariant:
//! memory is written again only once no array is left that shows it, as its reference count tells.

use std::sync::Mutex;

use numpy::{PyArrayDyn, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyDict, PySlice};
use sync_replicas::{Snapshot, Variables};

use crate::errors;
use crate::number::Number;

/// The alignment that JAX asks for, and a line of the processor's cache.
const ALIGNMENT: usize = 64;

/// The newest variables as arrays, and memory for later ones.
#[derive(Default)]
pub(crate) struct VariableCache(Mutex<State>);

/// The key of a [`VariableCache`]'s variables: a life of their training, and their step.
pub(crate) type Key = (u64, i64);

#[derive(Default)]
struct State {
    newest: Option<(Key, Py<PyDict>)>,
    /// By variable.
    memory: Vec<Vec<Py<PyAny>>>,
}

impl VariableCache {
    /// The variables of a snapshot, by name, in a dict of the caller's.
    pub(crate) fn of_snapshot<'py, T: Number>(
        &self,
        py: Python<'py>,
        snapshot: &Snapshot<T>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let key = (snapshot.generation.get(), snapshot.global_step.get());
        self.arrays(py, key, &snapshot.variables)
    }

    /// The same where a key says which they are.
    pub(crate) fn arrays<'py, T: Number>(
        &self,
        py: Python<'py>,
        key: Key,
        variables: &Variables<T>,
    ) -> PyResult<Bound<'py, PyDict>> {
        // While waiting for the lock, this thread releases the interpreter.
        let mut state = match self.0.lock_py_attached(py) {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        };
        if let Some((_, newest)) = state.newest.as_ref().filter(|(newest, _)| *newest == key) {
            return newest.bind(py).copy();
        }
        // Its arrays may be written again below, unless a caller has them.
        state.newest = None;
        let dict = PyDict::new(py);
        state.memory.resize_with(variables.len(), Vec::new);
        for ((name, array), memory) in variables.iter().zip(&mut state.memory) {
            let shape = array.shape();
            let target = empty::<T>(py, memory, shape)?;
            {
                let mut target = target.try_readwrite()?;
                let mut target = target.as_array_mut();
                py.detach(|| target.assign(array));
            }
            target.call_method("setflags", (), Some(&flags(py)?))?;
            dict.set_item(name, target)?;
        }
        state.newest = Some((key, dict.copy()?.unbind()));
        Ok(dict)
    }
}

fn flags(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let flags = PyDict::new(py);
    flags.set_item("write", false)?;
    Ok(flags)
}

/// An aligned array in memory that no reader sees yet.
fn empty<'py, T: Number>(
    py: Python<'py>,
    memory: &mut Vec<Py<PyAny>>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let bytes = shape.iter().product::<usize>() * size_of::<T>();
    #[expect(deprecated, reason = "what is to replace it is unsafe")]
    let free = memory.iter().position(|it| it.get_refcnt(py) == 1);
    let owner = match free {
        Some(place) => memory[place].bind(py).clone(),
        None => {
            let numpy = py.import("numpy")?;
            let owner = numpy.call_method1("empty", (bytes + ALIGNMENT, "uint8"))?;
            memory.push(owner.clone().unbind());
            owner
        }
    };
    let begins: usize = owner.getattr("ctypes")?.getattr("data")?.extract()?;
    let first = begins.next_multiple_of(ALIGNMENT) - begins;
    let slice = PySlice::new(py, isize::try_from(first)?, isize::try_from(first + bytes)?, 1);
    let array = owner.get_item(slice)?.call_method1("view", (T::NAME,))?;
    let array = array.call_method1("reshape", (shape.to_vec(),))?;
    Ok(array.cast_into::<PyArrayDyn<T>>()?)
}

/// Copies variables into arrays of the caller's own, by name.
pub(crate) fn copy_into<T: Number>(
    py: Python<'_>,
    variables: &Variables<T>,
    targets: &Bound<'_, PyDict>,
) -> PyResult<()> {
    for (name, target) in targets {
        let name: String = name.extract()?;
        let array = variables.get(&name).map_err(|error| errors::variable(&error))?;
        let shaped = target.cast::<PyArrayDyn<T>>().ok().map(|it| it.try_readwrite());
        let fits = |it: &numpy::PyReadwriteArrayDyn<'_, T>| {
            numpy::PyUntypedArrayMethods::shape(&***it) == array.shape()
        };
        let Some(Ok(mut target)) = shaped.filter(|it| it.as_ref().is_ok_and(fits)) else {
            let message = format!(
                "`{name}`: expected a writable array of {} and shape {:?} to copy it into",
                T::NAME,
                array.shape()
            );
            return Err(errors::new("VariableError", &message, |it| {
                it.set_item("variable", &name)
            }));
        };
        let mut target = target.as_array_mut();
        py.detach(|| target.assign(array));
    }
    Ok(())
}
