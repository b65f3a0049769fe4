//! The number types of gradients, and how they become those of the variables.

use half::{bf16, f16};

/// An element type of gradients for variables of type `T`: `T` itself, or a half-precision type,
/// which widens exactly to `f32`.
//
pub trait GradientElement<T>: Copy + Send + Sync + 'static {
    /// The same value as a `T`.
    fn widen(self) -> T;

    /// The same slice, when this type is `T`.
    fn lend(slice: &[Self]) -> Option<&[T]>;
}

macro_rules! its_own_element {
    ($($t:ty),*) => {$(
        impl GradientElement<$t> for $t {
            #[inline]
            fn widen(self) -> $t {
                self
            }

            fn lend(slice: &[$t]) -> Option<&[$t]> {
                Some(slice)
            }
        }
    )*};
}
its_own_element!(f32, f64);

macro_rules! half_element {
    ($($t:ty),*) => {$(
        impl GradientElement<f32> for $t {
            #[inline]
            fn widen(self) -> f32 {
                self.to_f32()
            }

            fn lend(_: &[$t]) -> Option<&[f32]> {
                None
            }
        }
    )*};
}
half_element!(f16, bf16);
