//! The number types that a variable can have: `f32` and `f64`.
//!
//! Hyper-parameters, schedules and norms are always `f64`; they are rounded to the variable's type
//! once, where they meet it.

use std::fmt::{Debug, Display};
use std::ops::BitOrAssign;

use num_traits::{Float, NumAssign};

use crate::GradientElement;

/// A variable's element: `f32` or `f64`.
pub trait Real:
    Float + NumAssign + GradientElement<Self> + Debug + Display + Default + Unpin
{
    /// As many bits as it has.
    type Bits: Copy + Default + Eq + BitOrAssign;

    /// Its bits.
    fn bits(self) -> Self::Bits;

    /// Rounds a hyper-parameter to this type.
    fn of(value: f64) -> Self;

    /// Widens to `f64`, which is exact.
    fn wide(self) -> f64;
}

impl Real for f32 {
    type Bits = u32;

    #[inline]
    fn bits(self) -> u32 {
        self.to_bits()
    }

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
    type Bits = u64;

    #[inline]
    fn bits(self) -> u64 {
        self.to_bits()
    }

    #[inline]
    fn of(value: f64) -> Self {
        value
    }

    #[inline]
    fn wide(self) -> f64 {
        self
    }
}
