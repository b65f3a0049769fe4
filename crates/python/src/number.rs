//! The two number types of variables, under one roof: Python's classes have no type parameter.

use half::{bf16, f16};
use ndarray::ArrayD;
use numpy::{PyArrayDyn, PyArrayMethods};
use pyo3::prelude::*;
use sync_replicas::Scalar;

/// A number type of variables, here and in NumPy.
pub(crate) trait Number: Scalar + numpy::Element {
    /// NumPy's name for it.
    const NAME: &'static str;

    /// A gradient of fewer bits, widened; nothing if its bits are not fewer.
    fn widened(array: &Bound<'_, PyAny>) -> PyResult<Option<ArrayD<Self>>>;
}

impl Number for f32 {
    const NAME: &'static str = "float32";

    fn widened(array: &Bound<'_, PyAny>) -> PyResult<Option<ArrayD<Self>>> {
        let py = array.py();
        if let Ok(array) = array.cast::<PyArrayDyn<f16>>() {
            let array = array.try_readonly()?;
            let view = array.as_array();
            return Ok(Some(py.detach(|| view.mapv(f16::to_f32))));
        }
        // NumPy has no bfloat16: it comes as ml_dtypes' own, or as PyTorch's `view(torch.uint16)`.
        let bits = match array.cast::<PyArrayDyn<u16>>() {
            Ok(bits) => bits.clone(),
            Err(_) if is_bfloat16(array)? => {
                array.call_method1("view", ("uint16",))?.cast_into::<PyArrayDyn<u16>>()?
            }
            Err(_) => return Ok(None),
        };
        let bits = bits.try_readonly()?;
        let view = bits.as_array();
        Ok(Some(py.detach(|| view.mapv(|bits| bf16::from_bits(bits).to_f32()))))
    }
}

impl Number for f64 {
    const NAME: &'static str = "float64";

    fn widened(_: &Bound<'_, PyAny>) -> PyResult<Option<ArrayD<Self>>> {
        Ok(None)
    }
}

fn is_bfloat16(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name: String = array.getattr("dtype")?.getattr("name")?.extract()?;
    Ok(name == "bfloat16")
}

/// Either a value for `f32` or one for `f64`.
pub(crate) enum Typed<A, B> {
    F32(A),
    F64(B),
}

/// Does the same with either.
macro_rules! each {
    ($typed:expr, $it:pat => $body:expr) => {
        match $typed {
            $crate::number::Typed::F32($it) => $body,
            $crate::number::Typed::F64($it) => $body,
        }
    };
}

pub(crate) use each;
