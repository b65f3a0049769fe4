//! Whether numbers are finite, looked at while they are still in the first cache (P-25).
//!
//! What follows from it is decided elsewhere.

use crate::Real;
use crate::lanes::widest;

/// Sums that do not wait for each other.
const LANES: usize = 32;

/// Whether all elements are finite: neither infinite nor NaN.
pub(crate) fn all_finite<T: Real>(elements: &[T]) -> bool {
    let (zero, mut sums) = (T::zero(), [T::zero(); LANES]);
    let mut chunks = elements.chunks_exact(LANES);
    // Of a finite number it is zero, of others NaN, and a NaN stays in its sum.
    widest(|| {
        for chunk in &mut chunks {
            sums.iter_mut().zip(chunk).for_each(|(sum, &x)| *sum += x * zero);
        }
    });
    let rest = chunks.remainder().iter().map(|&x| x * zero);
    sums.into_iter().chain(rest).fold(zero, |sum, x| sum + x) == zero
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
