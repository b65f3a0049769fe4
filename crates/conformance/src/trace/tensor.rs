//! Tensors as they are written: a shape, and the elements in row-major order.

use ndarray::ArrayD;
use serde::Deserialize;
use sync_replicas::Scalar;

/// An array whose shape and number of elements agree.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Tensor(pub(crate) ArrayD<f64>);

/// The number type that the run was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dtype {
    Float32,
    Float64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Tensor {
    /// Rounded to the run's own type.
    pub(crate) fn to<T: Scalar>(&self) -> ArrayD<T> {
        self.0.mapv(T::of)
    }

    /// The other way: exact.
    pub(crate) fn from<T: Scalar>(array: &ArrayD<T>) -> Self {
        Self(array.mapv(T::wide))
    }
}

impl TryFrom<Written> for Tensor {
    type Error = String;

    fn try_from(Written { shape, values }: Written) -> Result<Self, String> {
        let count = values.len();
        let array = ArrayD::from_shape_vec(shape.clone(), values);
        array.map(Self).map_err(|_| format!("a tensor of shape {shape:?} has {count} values"))
    }
}
