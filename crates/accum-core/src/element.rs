//! The number types a gradient can be made of, and the type each is summed in.
//!
//! No algorithm here. Invariant: `round(widen(x)) == widen(x)` for every `x`, so that rounding in
//! the reference's half rule never disturbs a value that was just stored.

use std::fmt::Debug;

use half::{bf16, f16};
use ndarray::ArrayD;
use num_traits::Float;

mod sealed {
    pub trait Sealed {}
}

/// A number type of gradients: `f16`, `bf16`, `f32` or `f64`.
///
/// Sealed: the accumulators' promises about rounding hold for these four.
//
pub trait Element:
    sealed::Sealed + Copy + Debug + Default + PartialEq + Send + Sync + 'static
{
    /// What gradients are added up in: `f32` for the half types, otherwise the type itself.
    type Sum: Element<Sum = Self::Sum> + Float;

    /// This value in the type of the sum; exact.
    fn widen(self) -> Self::Sum;

    /// A sum as the nearest value of this type; the sum itself when they are one type.
    fn narrow(sum: Self::Sum) -> Self;

    /// A sum rounded to the nearest value of this type, still in the type of the sum.
    #[inline]
    fn round(sum: Self::Sum) -> Self::Sum {
        Self::narrow(sum).widen()
    }

    /// A count as a divisor.
    fn divisor(count: u64) -> Self::Sum;

    /// The same slice, when this type is that of the sum.
    fn lend(slice: &[Self]) -> Option<&[Self::Sum]>;

    /// A whole array in the type of the sum; the same buffer when they are one type.
    fn widen_array(array: ArrayD<Self>) -> ArrayD<Self::Sum>;
}

macro_rules! full {
    ($($float:ty),*) => {$(
        impl sealed::Sealed for $float {}
        impl Element for $float {
            type Sum = $float;
            #[inline]
            fn widen(self) -> $float {
                self
            }
            #[inline]
            fn narrow(sum: $float) -> $float {
                sum
            }
            #[inline]
            fn divisor(count: u64) -> $float {
                count as $float
            }
            #[inline]
            fn lend(slice: &[$float]) -> Option<&[$float]> {
                Some(slice)
            }
            #[inline]
            fn widen_array(array: ArrayD<$float>) -> ArrayD<$float> {
                array
            }
        }
    )*};
}

macro_rules! half {
    ($($half:ty),*) => {$(
        impl sealed::Sealed for $half {}
        impl Element for $half {
            type Sum = f32;
            #[inline]
            fn widen(self) -> f32 {
                self.to_f32()
            }
            #[inline]
            fn narrow(sum: f32) -> $half {
                <$half>::from_f32(sum)
            }
            #[inline]
            fn divisor(count: u64) -> f32 {
                count as f32
            }
            #[inline]
            fn lend(_: &[$half]) -> Option<&[f32]> {
                None
            }
            #[inline]
            fn widen_array(array: ArrayD<$half>) -> ArrayD<f32> {
                array.mapv(<$half>::to_f32)
            }
        }
    )*};
}

full!(f32, f64);
half!(f16, bf16);
