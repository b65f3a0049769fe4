//! NumPy's memory, read where it lies.
//!
//! Invariant: memory is read only after its type and alignment were checked, and cannot be freed
//! meanwhile.

use numpy::{
    PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use crate::errors;

/// An array of just this type.
pub(crate) fn lent<'py, T: numpy::Element>(
    name: &str,
    array: Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    let expected = numpy::dtype::<T>(array.py()).to_string();
    match array.cast::<PyArrayDyn<T>>() {
        Ok(array) => readable(array),
        Err(_) => {
            let got = array.getattr("dtype")?.str()?;
            let message = format!(
                "`{name}`: expected an array of {expected}, got {got}; convert it with .astype"
            );
            Err(errors::gradient(name, &message))
        }
    }
}

/// A view of an array; of its copy if its numbers do not lie as the processor wants them.
pub(crate) fn readable<'py, T: numpy::Element>(
    array: &Bound<'py, PyArrayDyn<T>>,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    if array.is_aligned() {
        return Ok(array.try_readonly()?);
    }
    let copy = array.call_method0("copy")?.cast_into::<PyArrayDyn<T>>()?;
    Ok(copy.try_readonly()?)
}

/// NumPy's array of an object: of JAX's on the host it is the same memory.
pub(crate) fn as_array<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.is_instance_of::<PyUntypedArray>() {
        return Ok(value.clone());
    }
    value.py().import("numpy")?.call_method1("asarray", (value,))
}
