//! Gradients on their way in: NumPy's memory is read where it lies.
//!
//! Invariant: memory is read only after its type and alignment were checked, and cannot be freed
//! meanwhile.

use ndarray::{ArrayD, ArrayViewD};
use numpy::{PyArrayDyn, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::{Gradient, Gradients};

use crate::errors;
use crate::number::Number;
use crate::numpy_memory::{as_array, lent, readable};
use crate::tables::Ids;

/// Some rows of a variable: `indices` of shape (k,), `values` of shape (k, ...); or both of more
/// dimensions, which begin alike, as with a table's ids and their rows.
#[pyclass(frozen, module = "sync_replicas")]
pub(crate) struct IndexedSlices {
    /// The row numbers, as 64-bit integers; the same one may come twice.
    #[pyo3(get)]
    indices: Py<PyAny>,
    /// The rows.
    #[pyo3(get)]
    values: Py<PyAny>,
}

/// A caller's gradient for one variable.
pub(crate) enum Given<'py, T: Number> {
    Lent(PyReadonlyArrayDyn<'py, T>),
    Own(Gradient<T>),
}

/// The same without the interpreter: the receiver copies what is lent.
pub(crate) enum Seen<'a, T: Number> {
    Lent(ArrayViewD<'a, T>),
    Own(Gradient<T>),
}

/// One replica's gradients, as given.
pub(crate) struct Pushed<'py, T: Number>(Vec<(String, Given<'py, T>)>);

#[pymethods]
impl IndexedSlices {
    #[new]
    fn new(indices: Py<PyAny>, values: Py<PyAny>) -> Self {
        Self { indices, values }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (indices, values) = (self.indices.bind(py).repr()?, self.values.bind(py).repr()?);
        Ok(format!("IndexedSlices(indices={indices}, values={values})"))
    }
}

impl IndexedSlices {
    pub(crate) fn of(indices: Py<PyAny>, values: Py<PyAny>) -> Self {
        Self { indices, values }
    }

    /// Its copy; the receiver finds parts that do not fit.
    pub(crate) fn read<T: Number>(
        &self,
        py: Python<'_>,
        name: &str,
    ) -> PyResult<sync_replicas::IndexedSlices<T>> {
        let wrong = |message: &str| errors::gradient(name, message);
        let Ids { keys: indices, shape } = Ids::read(name, self.indices.bind(py), wrong)?;
        let values = match given::<T>(name, self.values.bind(py))? {
            Given::Lent(values) => values.as_array().to_owned(),
            Given::Own(Gradient::Dense(values)) => values,
            Given::Own(_) => {
                return Err(errors::gradient(name, "slices of slices are no gradient"));
            }
        };
        let values = as_rows(&shape, values);
        Ok(sync_replicas::IndexedSlices { indices, values, dense_shape: None })
    }
}

/// Rows one after the other, where they came in the shape of their indices.
fn as_rows<T: Number>(indices: &[usize], values: ArrayD<T>) -> ArrayD<T> {
    match values.shape().strip_prefix(indices) {
        Some(row) if indices.len() != 1 => {
            let shape: Vec<usize> = [indices.iter().product()].iter().chain(row).copied().collect();
            values.to_shape(shape).map(|it| it.into_owned()).unwrap_or(values)
        }
        _ => values,
    }
}

impl<'py, T: Number> Pushed<'py, T> {
    /// From a dict by variable: arrays, `IndexedSlices`, or None for one without a gradient.
    pub(crate) fn read(gradients: &Bound<'py, PyAny>) -> PyResult<Self> {
        let Ok(dict) = gradients.cast::<PyDict>() else {
            let got = gradients.get_type().name()?;
            let message = format!("gradients: expected a dict by the variables' names, got {got}");
            return Err(errors::argument(&message));
        };
        let mut pairs = Vec::with_capacity(dict.len());
        for (name, value) in dict {
            let name: String = name.extract()?;
            let given = given(&name, &value)?;
            pairs.push((name, given));
        }
        Ok(Self(pairs))
    }

    /// A form that can be used while the interpreter is released.
    pub(crate) fn seen(&mut self) -> Vec<(String, Seen<'_, T>)> {
        let pairs = self.0.iter_mut().map(|(name, given)| {
            let seen = match given {
                Given::Lent(array) => Seen::Lent(array.as_array()),
                Given::Own(own) => Seen::Own(std::mem::replace(own, Gradient::Missing)),
            };
            (std::mem::take(name), seen)
        });
        pairs.collect()
    }
}

/// Owned gradients, from those seen: `copy` makes the one copy that they need.
pub(crate) fn owned<T: Number>(
    seen: Vec<(String, Seen<'_, T>)>,
    copy: impl Fn(&str, ArrayViewD<'_, T>) -> ArrayD<T>,
) -> Gradients<T> {
    seen.into_iter().fold(Gradients::new(), |gradients, (name, seen)| match seen {
        Seen::Lent(view) => {
            let copied = copy(&name, view);
            gradients.with(name, Gradient::Dense(copied))
        }
        Seen::Own(own) => gradients.with(name, own),
    })
}

/// One gradient.
pub(crate) fn given<'py, T: Number>(
    name: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<Given<'py, T>> {
    if let Ok(array) = value.cast::<PyArrayDyn<T>>() {
        return Ok(Given::Lent(readable(array)?));
    }
    if value.is_none() {
        return Ok(Given::Own(Gradient::Missing));
    }
    if let Ok(slices) = value.cast::<IndexedSlices>() {
        return Ok(Given::Own(Gradient::Sparse(slices.get().read(value.py(), name)?)));
    }
    let array = as_array(value)?;
    if let Some(widened) = T::widened(&array)? {
        return Ok(Given::Own(Gradient::Dense(widened)));
    }
    Ok(Given::Lent(lent(name, array)?))
}
