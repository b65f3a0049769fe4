//! What divides each row of a sparse sum, and how the quotient is rounded.
//!
//! It divides and adds nothing up. Invariant: a row is divided once, or not at all.

use crate::{Element, HalfSum, Reduction, SparseMean, SparseOptions};

#[derive(Clone, Copy, Debug)]
pub(super) struct Division {
    pub(super) reduction: Reduction,
    pub(super) options: SparseOptions,
    /// How many gradients are in the sum.
    pub(super) count: u64,
}

impl Division {
    /// The divisor of a row that so many of the gradients had.
    #[inline(always)]
    pub(super) fn divisor<E: Element>(&self, had: u64) -> E::Sum {
        let count = match (self.reduction, self.options.mean) {
            (Reduction::Sum, _) => return E::divisor(1),
            (Reduction::Mean, SparseMean::PerRow) => had,
            (Reduction::Mean, SparseMean::PerGradient) => self.count,
        };
        match self.options.half_sum {
            HalfSum::Single => E::divisor(count),
            HalfSum::Reference => E::round(E::divisor(count)),
        }
    }

    /// Divides a row in place.
    #[inline(always)]
    pub(super) fn divide<E: Element>(&self, row: &mut [E::Sum], had: u64) {
        let divisor = self.divisor::<E>(had);
        if divisor == E::divisor(1) {
            // Every value is its own quotient, and none needs rounding that did not before.
            return;
        }
        match self.options.half_sum {
            HalfSum::Single => row.iter_mut().for_each(|value| *value = *value / divisor),
            HalfSum::Reference => {
                row.iter_mut().for_each(|value| *value = E::round(*value / divisor));
            }
        }
    }
}
