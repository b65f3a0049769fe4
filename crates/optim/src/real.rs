//! The number types that a variable can have: `f32` and `f64`.
//!
//! Hyper-parameters, schedules and norms are always `f64`; they are rounded to the variable's type
//! once, where they meet it.

use std::fmt::{Debug, Display};

use num_traits::{Float, NumAssign};

use crate::GradientElement;

/// A variable's element: `f32` or `f64`.
pub trait Real:
    Float + NumAssign + GradientElement<Self> + Debug + Display + Default + Unpin
{
    /// Rounds a hyper-parameter to this type.
    fn of(value: f64) -> Self;

    /// Widens to `f64`, which is exact.
    fn wide(self) -> f64;
}

impl Real for f32 {
    #[inline]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline]
    fn of(value: f64) -> Self {
        value
    }

    #[inline]
    fn wide(self) -> f64 {
        self
    }
}
