//! The number types of a table: `f32` and `f64`.

use std::fmt::Debug;

use num_traits::Float;

/// A row's element.
pub trait Number: Float + Default + Debug + Send + Sync + 'static {
    /// The nearest to a number of `f64`.
    fn rounded(number: f64) -> Self;
}

impl Number for f32 {
    fn rounded(number: f64) -> Self {
        number as f32
    }
}

impl Number for f64 {
    fn rounded(number: f64) -> Self {
        number
    }
}
