//! Whether numbers are finite, neither infinite nor NaN, at no cost of memory (P-25).
//!
//! Other code decides what follows.

use crate::Real;
use crate::simd::widest;

/// What a kernel has seen so far; two instructions a number, and no branch that would keep a loop
/// from being vectorized.
pub(crate) struct Seen<T: Real>(T::Bits);

impl<T: Real> Seen<T> {
    #[inline(always)]
    pub(crate) fn nothing() -> Self {
        Self(T::Bits::default())
    }

    #[inline(always)]
    #[allow(clippy::eq_op, reason = "a number less itself is zero only where it is finite")]
    pub(crate) fn see(&mut self, x: T) {
        // No bit is set in the zero that a finite number gives; the others give NaN.
        self.0 |= (x - x).bits();
    }

    #[inline(always)]
    pub(crate) fn all_finite(self) -> bool {
        self.0 == T::Bits::default()
    }
}

/// Whether all elements are finite.
pub(crate) fn all_finite<T: Real>(elements: &[T]) -> bool {
    widest(|| {
        let mut seen = Seen::nothing();
        elements.iter().for_each(|&x| seen.see(x));
        seen.all_finite()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P-25
    #[test]
    fn one_number_anywhere_is_found() {
        #[track_caller]
        fn check<T: Real>(finite: &[T], others: &[T]) {
            for length in [0, 1, 31, 32, 33, 100] {
                let elements: Vec<T> = finite.iter().copied().cycle().take(length).collect();
                assert!(all_finite(&elements), "{length}");
                for (place, &other) in
                    (0..length).flat_map(|it| others.iter().map(move |x| (it, x)))
                {
                    let mut elements = elements.clone();
                    elements[place] = other;
                    assert!(!all_finite(&elements), "{other} at {place} of {length}");
                }
            }
        }
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        check(&[0.0, -0.0, f32::MAX, f32::MIN, 1e-45], &[inf, -inf, nan, -nan]);
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        check(&[0.0, -0.0, f64::MAX, f64::MIN, 5e-324], &[inf, -inf, nan, -nan]);
    }
}
