//! What counts as equal: everything exactly, save floating point within the kind's tolerance.
//!
//! Invariant: an answer of `Ok` means that nothing differs; every other answer says what does, with
//! what came first and what was recorded second.

use std::fmt::{Debug, Display};

use ndarray::ArrayViewD;
use sync_replicas::Scalar;

use crate::trace::{Dtype, Outcome, Tensor};

/// A difference in words, or none.
pub(crate) type Check = Result<(), String>;

/// How far two numbers may be apart: either bound suffices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    relative: f64,
    absolute: f64,
}

impl Tolerance {
    /// No floating point is compared at all.
    pub(crate) const EXACT: Self = Self { relative: 0.0, absolute: 0.0 };

    /// Of updated variables, slots and averages, whatever their type: the original rounds
    /// hyper-parameters and powers to single precision, which is no rule.
    pub(crate) const UPDATE: Self = Self { relative: 3e-5, absolute: 1e-6 };

    /// Of what an accumulator gives.
    pub(crate) fn accumulated(dtype: Dtype) -> Self {
        let bound = match dtype {
            Dtype::Float32 => 1e-5,
            Dtype::Float64 => 1e-12,
        };
        Self { relative: bound, absolute: bound }
    }

    fn holds(self, got: f64, expected: f64) -> bool {
        let apart = (got - expected).abs();
        got == expected
            || (got.is_nan() && expected.is_nan())
            || (apart.is_finite()
                && (apart <= self.absolute || apart <= self.relative * expected.abs()))
    }

    /// Shape and every element.
    pub(crate) fn tensor<T: Scalar>(
        self,
        what: &str,
        got: ArrayViewD<'_, T>,
        expected: &Tensor,
    ) -> Check {
        equal(format_args!("the shape of {what}"), got.shape(), expected.0.shape())?;
        let pairs = got.iter().zip(&expected.0).enumerate();
        for (position, (got, &expected)) in pairs {
            let got = got.wide();
            if !self.holds(got, expected) {
                return Err(format!("{what}[{position}] is {got}, expected {expected}"));
            }
        }
        Ok(())
    }

    /// What a call gave.
    pub(crate) fn outcome(self, got: &Outcome, expected: &Outcome) -> Check {
        match (got, expected) {
            (Outcome::Tensor(got), Outcome::Tensor(expected)) => {
                self.tensor("value", got.0.view(), expected)
            }
            (Outcome::Slices(got), Outcome::Slices(expected)) => {
                equal("the list of indices", &got.indices, &expected.indices)?;
                equal("the dense shape", &got.dense_shape, &expected.dense_shape)?;
                self.tensor("value", got.value.0.view(), &expected.value)
            }
            (got, expected) if got == expected => Ok(()),
            (got, expected) => Err(format!("the outcome is {got}, expected {expected}")),
        }
    }
}

/// Anything but floating point.
pub(crate) fn equal<T: PartialEq + Debug>(what: impl Display, got: T, expected: T) -> Check {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what} is {got:?}, expected {expected:?}"))
}

#[cfg(test)]
mod tests;
