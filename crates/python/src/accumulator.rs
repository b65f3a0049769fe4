//! Conditional accumulators by themselves, for programs built from the parts.

use accum_core::{LocalStep, PartialShape, Reduction, TakeError};
use numpy::{PyArrayDyn, ToPyArray};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::arrays::{Given, IndexedSlices as PySlices, given};
use crate::errors;
use crate::fork_guard::ForkGuard;
use crate::number::{Number, Typed, each};
use crate::outcome::Outcome;
use crate::wait::wait;
use sync_replicas::Gradient;

type Dense<T> = accum_core::ConditionalAccumulator<T>;
type Sparse<T> = accum_core::SparseConditionalAccumulator<T>;

/// Averages fresh dense gradients and drops stale ones.
///
/// `shape` has None for an unknown dimension, and is None for any shape at all; `dtype` is
/// "float32" or "float64"; `reduction` is "mean" or "sum".
#[pyclass(frozen, module = "sync_replicas")]
pub(crate) struct ConditionalAccumulator(ForkGuard<Typed<Dense<f32>, Dense<f64>>>);

/// The same of `IndexedSlices`; each row of the mean is divided by its own count.
#[pyclass(frozen, module = "sync_replicas")]
pub(crate) struct SparseConditionalAccumulator(ForkGuard<Typed<Sparse<f32>, Sparse<f64>>>);

/// The result of a take: the mean (or sum), of how many gradients, and of which step.
#[pyclass(frozen, get_all, module = "sync_replicas")]
pub(crate) struct Taken {
    /// An array, or `IndexedSlices`.
    value: Py<PyAny>,
    /// At least as many as requested.
    count: u64,
    /// The accumulator's step until this take, which left it one further.
    step: i64,
}

/// The numbers that a caller describes.
#[derive(FromPyObject)]
pub(crate) enum Shape {
    Dims(Vec<Option<usize>>),
}

fn partial(shape: Option<Shape>) -> PartialShape {
    match shape {
        Some(Shape::Dims(dims)) => PartialShape::of(dims),
        None => PartialShape::default(),
    }
}

fn reduction(word: &str) -> PyResult<Reduction> {
    match word {
        "mean" => Ok(Reduction::Mean),
        "sum" => Ok(Reduction::Sum),
        other => Err(errors::argument(&format!(
            "reduction: expected \"mean\" or \"sum\", got {other:?}"
        ))),
    }
}

/// The number type that a caller names, as a word or as NumPy's own.
pub(crate) fn number(py: Python<'_>, dtype: &Bound<'_, PyAny>) -> PyResult<Typed<(), ()>> {
    let name = py.import("numpy")?.call_method1("dtype", (dtype,))?.getattr("name")?;
    match name.extract::<String>()?.as_str() {
        f32::NAME => Ok(Typed::F32(())),
        f64::NAME => Ok(Typed::F64(())),
        other => Err(errors::argument(&format!("dtype: expected float32 or float64, got {other}"))),
    }
}

macro_rules! common {
    ($class:ident, $inner:ident) => {
        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = (shape = None, dtype = None, reduction = "mean"))]
            fn new(
                py: Python<'_>,
                shape: Option<Shape>,
                dtype: Option<Bound<'_, PyAny>>,
                reduction: &str,
            ) -> PyResult<Self> {
                let (shape, how) = (partial(shape), self::reduction(reduction)?);
                let number = dtype.map_or(Ok(Typed::F32(())), |dtype| number(py, &dtype))?;
                Ok(Self(ForkGuard::new(match number {
                    Typed::F32(()) => Typed::F32($inner::new(shape, how)),
                    Typed::F64(()) => Typed::F64($inner::new(shape, how)),
                })))
            }

            /// Pushes a gradient that was computed at `local_step`; never waits. A stale one is
            /// dropped unread.
            fn apply_grad(
                &self,
                py: Python<'_>,
                gradient: &Bound<'_, PyAny>,
                local_step: i64,
            ) -> PyResult<Outcome> {
                each!(self.0.get()?, acc => push(py, acc, gradient, local_step.into()))
            }

            /// Waits for `num_required` gradients, and takes all that are held then.
            fn take_grad(&self, py: Python<'_>, num_required: i64) -> PyResult<Taken> {
                each!(self.0.get()?, acc => {
                    let taken = wait(py, acc.take_grad(num_required))?;
                    let taken = taken.map_err(|it| take_error(&it))?;
                    let (count, step) = (taken.count, taken.step.get());
                    Ok(Taken { value: out(py, taken.value)?, count, step })
                })
            }

            /// Takes what is held when it is at least `num_required` and no other take waits.
            fn try_take_grad(&self, py: Python<'_>, num_required: i64) -> PyResult<Option<Taken>> {
                each!(self.0.get()?, acc => {
                    let taken = py.detach(|| acc.try_take_grad(num_required));
                    let Some(taken) = taken.map_err(|it| take_error(&it))? else { return Ok(None) };
                    let (count, step) = (taken.count, taken.step.get());
                    Ok(Some(Taken { value: out(py, taken.value)?, count, step }))
                })
            }

            /// How many gradients are held.
            #[getter]
            fn num_accumulated(&self) -> PyResult<u64> {
                each!(self.0.get()?, acc => Ok(acc.num_accumulated()))
            }

            /// The step that a gradient must not be behind. It may also be set lower.
            #[getter]
            fn global_step(&self) -> PyResult<i64> {
                each!(self.0.get()?, acc => Ok(acc.global_step().get()))
            }

            /// Sets the step, and returns the old one; held gradients and waiting takes stay.
            fn set_global_step(&self, step: i64) -> PyResult<i64> {
                each!(self.0.get()?, acc => Ok(acc.set_global_step(step).get()))
            }

            /// Ends all waiting, for good, with `TakeError`.
            fn close(&self) -> PyResult<()> {
                each!(self.0.get()?, acc => Ok(acc.close()))
            }
        }
    };
}

common!(ConditionalAccumulator, Dense);
common!(SparseConditionalAccumulator, Sparse);

/// How each of the two kinds reads a gradient and gives a mean back.
trait Kind<T: Number>: Sync {
    fn apply(
        &self,
        py: Python<'_>,
        gradient: &Bound<'_, PyAny>,
        step: LocalStep,
    ) -> PyResult<Outcome>;
}

fn push<T: Number>(
    py: Python<'_>,
    acc: &impl Kind<T>,
    gradient: &Bound<'_, PyAny>,
    step: LocalStep,
) -> PyResult<Outcome> {
    acc.apply(py, gradient, step)
}

impl<T: Number> Kind<T> for Dense<T> {
    fn apply(
        &self,
        py: Python<'_>,
        gradient: &Bound<'_, PyAny>,
        step: LocalStep,
    ) -> PyResult<Outcome> {
        let applied = match given::<T>("gradient", gradient)? {
            Given::Lent(array) => {
                let view = array.as_array();
                py.detach(|| self.apply_grad(view, step))
            }
            Given::Own(Gradient::Dense(array)) => py.detach(|| self.apply_grad(array, step)),
            Given::Own(_) => {
                return Err(errors::gradient(
                    "gradient",
                    "expected an array, got no dense gradient",
                ));
            }
        };
        Ok(applied.map_err(|error| errors::gradient("gradient", &error.to_string()))?.into())
    }
}

impl<T: Number> Kind<T> for Sparse<T> {
    fn apply(
        &self,
        py: Python<'_>,
        gradient: &Bound<'_, PyAny>,
        step: LocalStep,
    ) -> PyResult<Outcome> {
        let Ok(slices) = gradient.cast::<PySlices>() else {
            return Err(errors::gradient("gradient", "expected IndexedSlices(indices, values)"));
        };
        let slices = slices.get().read::<T>(py, "gradient")?;
        let applied = py.detach(|| self.apply_grad(slices, step));
        Ok(applied.map_err(|error| errors::gradient("gradient", &error.to_string()))?.into())
    }
}

/// A mean, as Python has it; its memory is the accumulator's own and not copied.
trait Out {
    fn out(self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

fn out(py: Python<'_>, value: impl Out) -> PyResult<Py<PyAny>> {
    value.out(py)
}

impl<T: Number> Out for ndarray::ArrayD<T> {
    fn out(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        PyArrayDyn::from_owned_array(py, self).into_py_any(py)
    }
}

impl<T: Number> Out for sync_replicas::IndexedSlices<T> {
    fn out(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let indices = self.indices.to_pyarray(py).into_py_any(py)?;
        let values = PyArrayDyn::from_owned_array(py, self.values).into_py_any(py)?;
        PySlices::of(indices, values).into_py_any(py)
    }
}

fn take_error(error: &TakeError) -> PyErr {
    errors::new("TakeError", &error.to_string(), |_| Ok(()))
}
