//! The gradients of one cycle, summed already or still apart, and the arithmetic over them.
//!
//! No shapes are checked here: the caller has. Invariant: additions are done one gradient after the
//! other for each element, so that summing early or late gives the same bits.

use ndarray::ArrayD;

use crate::{DenseOptions, Element, Gradient, HalfSum, Summation};

/// Elements of one block: small enough that a block of the sum stays in the nearest cache while
/// every gradient's block is added to it.
const BLOCK: usize = 2048;

#[derive(Debug)]
pub(super) enum Parts<E: Element> {
    /// [`Summation::Eager`]: the sum so far.
    Sum(Option<ArrayD<E::Sum>>),
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

    /// The shape of what is held; `None` when nothing is.
    pub(super) fn shape(&self) -> Option<&[usize]> {
        match self {
            Self::Sum(sum) => sum.as_ref().map(ArrayD::shape),
            Self::Held(held) => held.first().map(|(_, gradient)| gradient.shape()),
        }
    }

    /// Adds what came later. Both sides were built under the same options.
    pub(super) fn append(&mut self, later: Self, half_sum: HalfSum) {
        match (self, later) {
            (Self::Sum(Some(sum)), Self::Sum(Some(later))) => match half_sum {
                HalfSum::Single => sum.zip_mut_with(&later, |sum, &add| *sum = *sum + add),
                HalfSum::Reference => {
                    sum.zip_mut_with(&later, |sum, &add| *sum = E::round(*sum + add));
                }
            },
            (Self::Sum(sum), Self::Sum(later)) => *sum = sum.take().or(later),
            (Self::Held(held), Self::Held(later)) => held.extend(later),
            (Self::Sum(_), Self::Held(_)) | (Self::Held(_), Self::Sum(_)) => {}
        }
    }

    /// The sum in standard layout, divided when a divisor is given.
    pub(super) fn into_array(
        self,
        options: DenseOptions,
        divisor: Option<E::Sum>,
    ) -> ArrayD<E::Sum> {
        let (mut sum, rest) = match self {
            Self::Sum(sum) => (sum.unwrap_or_default(), Vec::new()),
            Self::Held(mut held) => {
                if options.summation == Summation::Ordered {
                    held.sort_by_key(|(key, _)| *key);
                }
                let mut held = held.into_iter().map(|(_, gradient)| gradient);
                let first = held.next().map(Gradient::into_array).unwrap_or_default();
                (E::widen_array(first), held.collect())
            }
        };
        let rest: Vec<_> = rest.iter().map(Gradient::rows).collect();
        let rest: Vec<&[E]> = rest.iter().filter_map(|part| part.as_slice()).collect();
        if let Some(sum) = sum.as_slice_mut() {
            match options.half_sum {
                HalfSum::Single => finish(sum, &rest, divisor, |sum| sum),
                HalfSum::Reference => finish(sum, &rest, divisor, E::round),
            }
        }
        sum
    }
}

/// `sum += gradient`, element by element.
pub(super) fn add_into<E: Element>(
    sum: &mut ArrayD<E::Sum>,
    gradient: &Gradient<'_, E>,
    half_sum: HalfSum,
) {
    match half_sum {
        HalfSum::Single => {
            sum.zip_mut_with(&gradient.view(), |sum, &add| *sum = *sum + add.widen());
        }
        HalfSum::Reference => {
            sum.zip_mut_with(&gradient.view(), |sum, &add| *sum = E::round(*sum + add.widen()));
        }
    }
}

/// Adds `rest` to `sum` and divides, block by block: one pass over memory for all of it.
fn finish<E: Element>(
    sum: &mut [E::Sum],
    rest: &[&[E]],
    divisor: Option<E::Sum>,
    round: impl Fn(E::Sum) -> E::Sum,
) {
    if rest.is_empty() && divisor.is_none() {
        return;
    }
    for (block, sum) in sum.chunks_mut(BLOCK).enumerate() {
        let range = block * BLOCK..block * BLOCK + sum.len();
        for part in rest {
            for (sum, add) in sum.iter_mut().zip(&part[range.clone()]) {
                *sum = round(*sum + add.widen());
            }
        }
        if let Some(divisor) = divisor {
            for sum in sum {
                *sum = round(*sum / divisor);
            }
        }
    }
}
