//! The variables that a training begins with, from a dict.

use numpy::PyArrayDyn;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::Variables;

use crate::errors;
use crate::number::Number;
use crate::numpy_memory::{as_array, lent};
use crate::tables::{is_table, table};

/// Initial values of one number type.
pub(crate) enum Initial {
    F32(Variables<f32>),
    F64(Variables<f64>),
}

impl Initial {
    /// Reads the values of a dict: as float64 when the first array is, and otherwise as float32.
    pub(crate) fn read(variables: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut first = None;
        for value in variables.values() {
            if first.is_none() && !is_table(&value)? {
                first = Some(as_array(&value)?);
            }
        }
        Ok(match first {
            Some(first) if first.cast::<PyArrayDyn<f64>>().is_ok() => Self::F64(read(variables)?),
            _ => Self::F32(read(variables)?),
        })
    }
}

fn read<T: Number>(variables: &Bound<'_, PyDict>) -> PyResult<Variables<T>> {
    let mut read = Variables::new();
    for (name, value) in variables {
        let name: String = name.extract()?;
        if is_table(&value)? {
            let declared = table(&name, &value)?;
            read = read.with_table(declared).map_err(|error| errors::variable(&error))?;
            continue;
        }
        let array = as_array(&value)?;
        let copy = match T::widened(&array)? {
            Some(widened) => widened,
            None => lent::<T>(&name, array)?.as_array().to_owned(),
        };
        read = read.with(name, copy).map_err(|error| errors::variable(&error))?;
    }
    Ok(read)
}
