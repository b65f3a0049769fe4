//! Sums once more, slow and plain, and the error that a real one may have.
//!
//! Every input, `f16` and `bf16` too, is exact in `f64`, and [`Exact`] adds with compensation
//! (Neumaier), so what it gives is right to the last bit or two of an `f64`.
//!
//! With *n* numbers, *ε* the distance from one to the next number of the type that sums are kept
//! in, and *S* the sum of the numbers' magnitudes: *n - 1* additions in any order, each off by at
//! most *ε/2* of its result, are off by at most *(n - 1) ε/2 S* (Jeannerod and Rump, 2013). The
//! division adds *ε/2 S* over the divisor, and so does a divisor that is rounded to a half type.
//! All this is below *(n + 1) ε S* over the divisor, with something left for the last bits here.
//! A quotient in `f16` may also be too small for full precision; that adds 2^-24.

use accum_core::{Element, HalfSum};
use num_traits::{Float, NumCast, ToPrimitive};

/// A number of any type; rounded if it has to be.
pub fn number<E: Element>(x: f64) -> E {
    E::narrow(<E::Sum as NumCast>::from(x).expect("f32 and f64 take any f64"))
}

/// A number of any type, exactly.
pub fn wide<E: Element>(x: E) -> f64 {
    x.widen().to_f64().expect("f32 and f64 are f64s")
}

/// The sum after one more addition by the rule: in the type of the sum, or rounded to the half.
pub fn plus<E: Element>(sum: E::Sum, add: E::Sum, half_sum: HalfSum) -> E::Sum {
    rounded::<E>(sum + add, half_sum)
}

/// The quotient by the rule; the divisor is rounded as well.
pub fn over<E: Element>(sum: E::Sum, divisor: u64, half_sum: HalfSum) -> E::Sum {
    rounded::<E>(sum / rounded::<E>(E::divisor(divisor), half_sum), half_sum)
}

fn rounded<E: Element>(x: E::Sum, half_sum: HalfSum) -> E::Sum {
    match half_sum {
        HalfSum::Single => x,
        HalfSum::Reference => E::narrow(x).widen(),
    }
}

/// The distance from one to the next number of this type.
fn epsilon<E: Element>() -> f64 {
    let halves = (0..).map(|k| 0.5_f64.powi(k));
    halves.take_while(|e| wide(number::<E>(1.0 + e)) != 1.0).last().expect("one itself")
}

/// A sum in `f64` with what its additions lost, the sum of magnitudes, and the number of terms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact {
    sum: f64,
    lost: f64,
    magnitude: f64,
    terms: f64,
}

impl Exact {
    pub fn add(&mut self, x: f64) {
        let next = self.sum + x;
        let (large, small) = if self.sum.abs() < x.abs() { (x, self.sum) } else { (self.sum, x) };
        self.lost += (large - next) + small;
        self.sum = next;
        self.magnitude += x.abs();
        self.terms += 1.0;
    }

    /// Panics when `got`, the sum over `divisor`, is further off than rounding can explain.
    #[track_caller]
    pub fn check<E: Element>(&self, got: E::Sum, divisor: u64, half_sum: HalfSum) {
        let (epsilon, smallest) = match half_sum {
            HalfSum::Single => (epsilon::<E::Sum>(), 0.0),
            HalfSum::Reference => (epsilon::<E>(), 2.0_f64.powi(-24)),
        };
        let expected = (self.sum + self.lost) / divisor as f64;
        let allowed = (self.terms + 1.0) * epsilon * self.magnitude / divisor as f64;
        let error = (wide(got) - expected).abs();
        assert!(
            error <= allowed + smallest,
            "expected {expected}, got {got:?}: off by {error}, allowed {allowed}"
        );
    }
}

/// The bits of a sum, for comparing also the sign of zero.
pub fn bits<F: Float>(x: F) -> (u64, i16, i8) {
    x.integer_decode()
}
