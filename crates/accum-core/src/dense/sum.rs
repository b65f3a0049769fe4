//! The gradients of one cycle, summed already or still apart.
//!
//! No shapes are checked here: the caller has. Invariant: additions are done one gradient after the
//! other for each element, so that summing early or late gives the same bits.

use std::borrow::Cow;

use ndarray::ArrayD;

use super::kernel::{add_all, divide};
use super::sum_reader;
use super::total::{Total, add_array};
use crate::{DenseOptions, Element, Gradient, HalfSum, Summation};

/// Elements of one block: large enough to read every gradient in long runs, small enough that the
/// block of the sum stays in the second cache meanwhile.
const BLOCK: usize = 1 << 15;

#[derive(Debug)]
pub(super) enum Parts<E: Element> {
    /// [`Summation::Eager`]: the sum so far.
    Sum(Option<Total<E>>),
    /// The others: every gradient with its key, in arrival order.
    Held(Vec<(u64, Gradient<'static, E>)>),
}

impl<E: Element> Parts<E> {
    pub(super) fn empty(summation: Summation) -> Self {
        match summation {
            Summation::Eager => Self::Sum(None),
            Summation::Held | Summation::Ordered => Self::Held(Vec::new()),
        }
    }

    /// Takes everything out. As many may come again, so there is room for them at once.
    pub(super) fn drain(&mut self) -> Self {
        match self {
            Self::Sum(sum) => Self::Sum(sum.take()),
            Self::Held(held) => {
                let room = Vec::with_capacity(held.len());
                Self::Held(std::mem::replace(held, room))
            }
        }
    }

    /// The shape of what is held; `None` when nothing is.
    pub(super) fn shape(&self) -> Option<&[usize]> {
        match self {
            Self::Sum(sum) => sum.as_ref().map(Total::shape),
            Self::Held(held) => held.first().map(|(_, gradient)| gradient.shape()),
        }
    }

    /// Adds what came later. Both sides were built under the same options.
    pub(super) fn append(&mut self, later: Self, half_sum: HalfSum) {
        match (self, later) {
            (Self::Sum(Some(sum)), Self::Sum(Some(later))) => {
                let later = Gradient::<E::Sum>::Owned(later.into_array());
                match half_sum {
                    HalfSum::Single => add_array::<E::Sum>(sum.settle(), &later, half_sum),
                    HalfSum::Reference => {
                        let add = |sum: &mut E::Sum, add: &E::Sum| *sum = E::round(*sum + *add);
                        sum.settle().zip_mut_with(&later.view(), add);
                    }
                }
            }
            (Self::Sum(sum), Self::Sum(later)) => *sum = sum.take().or(later),
            (Self::Held(held), Self::Held(later)) => held.extend(later),
            (Self::Sum(_), Self::Held(_)) | (Self::Held(_), Self::Sum(_)) => {}
        }
    }

    /// The gradients that are still apart.
    pub(super) fn held(&self) -> &[(u64, Gradient<'static, E>)] {
        match self {
            Self::Sum(_) => &[],
            Self::Held(held) => held,
        }
    }

    /// Sorts the gradients into the order in which they are added.
    pub(super) fn sort(&mut self, summation: Summation) {
        if let (Self::Held(held), Summation::Ordered) = (self, summation) {
            held.sort_by_key(|(key, _)| *key);
        }
    }

    /// What is held as slices.
    pub(super) fn slices(&mut self) -> sum_reader::Parts<'_, E> {
        match self {
            Self::Sum(None) => sum_reader::Parts::Sum(&[]),
            Self::Sum(Some(sum)) => {
                // In standard layout, as the first gradient was when it became the sum.
                sum_reader::Parts::Sum(sum.settle().as_slice().unwrap_or_default())
            }
            Self::Held(held) => {
                let parts = held.iter().map(|(_, gradient)| gradient.elements());
                sum_reader::Parts::Held(parts.collect())
            }
        }
    }

    /// The sum in standard layout, divided when a divisor is given.
    pub(super) fn into_array(
        self,
        options: DenseOptions,
        divisor: Option<E::Sum>,
    ) -> ArrayD<E::Sum> {
        let (mut sum, rest) = match self {
            Self::Sum(sum) => (sum.map(Total::into_array).unwrap_or_default(), Vec::new()),
            Self::Held(held) => {
                let mut held = held.into_iter().map(|(_, gradient)| gradient);
                let first = held.next().map(Gradient::into_array).unwrap_or_default();
                (E::widen_array(first), held.collect())
            }
        };
        let rest: Vec<Cow<'_, [E]>> = rest.iter().map(Gradient::elements).collect();
        let half_sum = options.half_sum;
        if rest.is_empty() && divisor.is_none() {
            return sum;
        }
        let blocks = sum.as_slice_mut().unwrap_or_default().chunks_mut(BLOCK).enumerate();
        for (block, sum) in blocks {
            let range = block * BLOCK..block * BLOCK + sum.len();
            let rest = rest.iter().map(|part| &part[range.clone()]);
            add_all::<E>(sum, rest, false, half_sum);
            if let Some(divisor) = divisor {
                divide::<E>(sum, divisor, half_sum);
            }
        }
        sum
    }
}
