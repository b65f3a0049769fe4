//! A taken sum read range by range, added up and divided where it is needed.
//!
//! It changes nothing. Invariant: reading gives the bits of
//! [`DenseSum::into_value`](crate::DenseSum::into_value), however the ranges were cut.

use std::borrow::Cow;

use super::kernel::{add_all, divide, divide_into};
use crate::{Element, HalfSum};

/// The value of a [`DenseSum`](crate::DenseSum), computed range by range.
///
/// An update that reads its gradient from here passes over the gradients once, and needs no memory
/// for their mean.
///
/// ```
/// use accum_core::{DenseAccumulator, DenseOptions, Reduction, Summation};
/// use ndarray::array;
///
/// let held = DenseOptions { summation: Summation::Held, ..DenseOptions::default() };
/// let mut acc = DenseAccumulator::<f32>::with_options([3], Reduction::Mean, held);
/// acc.apply(array![1.0, 2.0, 3.0], 0)?;
/// acc.apply(array![3.0, 6.0, 9.0], 0)?;
/// let mut sum = acc.try_take(2)?.expect("two are held");
/// let mut last_two = [0.0; 2];
/// sum.reader().read(1, &mut last_two);
/// assert_eq!(last_two, [4.0, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SumReader<'a, E: Element> {
    pub(super) shape: Vec<usize>,
    pub(super) parts: Parts<'a, E>,
    /// `None` when there is nothing to divide by.
    pub(super) divisor: Option<E::Sum>,
    pub(super) half_sum: HalfSum,
}

/// In row-major order.
#[derive(Debug)]
pub(super) enum Parts<'a, E: Element> {
    Sum(&'a [E::Sum]),
    Held(Vec<Cow<'a, [E]>>),
}

impl<E: Element> SumReader<'_, E> {
    /// The shape of the value.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Writes the elements `start .. start + to.len()` of the value, counted in row-major order.
    ///
    /// # Panics
    /// When that range goes past the end.
    pub fn read(&self, start: usize, to: &mut [E::Sum]) {
        let range = start..start + to.len();
        match (&self.parts, self.divisor) {
            (Parts::Sum(sum), Some(divisor)) => {
                divide_into::<E>(to, &sum[range], divisor, self.half_sum);
            }
            (Parts::Sum(sum), None) => to.copy_from_slice(&sum[range]),
            (Parts::Held(held), divisor) => {
                let parts = held.iter().map(|part| &part[range.clone()]);
                add_all::<E>(to, parts, true, self.half_sum);
                if let Some(divisor) = divisor {
                    divide::<E>(to, divisor, self.half_sum);
                }
            }
        }
    }

    /// All of the value, when it lies in memory already: it is one gradient, or an undivided sum.
    pub fn lend(&self) -> Option<&[E::Sum]> {
        match (&self.parts, self.divisor) {
            (Parts::Sum(sum), None) => Some(sum),
            (Parts::Held(held), None) if held.len() == 1 => E::lend(&held[0]),
            _ => None,
        }
    }
}
