//! The number types a model's variables may have: `f32` and `f64`.
//!
//! Gradients in half precision enter through [`Gradient`](crate::Gradient), which widens them once.

use bytemuck::Pod;
use embedding_table::Number;

use crate::stored::Stored;

/// A variable's element: something that an optimizer can update and an accumulator can sum as it
/// is, without widening, and that travels as its bytes.
//
pub trait Scalar: optim::Real + accum_core::Element<Sum = Self> + Number + Pod + Stored {}

impl Scalar for f32 {}
impl Scalar for f64 {}
