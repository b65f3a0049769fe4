//! Follow the regularized leader.

use crate::hyper::Checks;
use crate::simd::widest;
use crate::{BuiltIn, HyperParameterError, Optimizer, Real, Schedule, SlotSpec, Step, Tile};

/// FTRL-proximal with *l₁*, *l₂* and shrinkage, after "Ad Click Prediction: a View from the
/// Trenches" (McMahan et al., 2013).
///
/// With *p* = `learning_rate_power` and *s* = `l2_shrinkage`: *n' = n + g²*,
/// *z ← z + g + 2 s x − (n'⁻ᵖ − n⁻ᵖ) / η · x*, *n ← n'*, and then
/// *x ← (sign(z) l₁ − z) / (n⁻ᵖ / η + 2 l₂)* if *|z| > l₁*, else 0.
///
/// Slots: `accum` (*n*, from 0.1) and `linear` (*z*, from 0). A sparse gradient leaves all other
/// rows alone. A step whose learning rate is zero, or so small that a quotient by it is beyond the
/// number type, changes nothing, since the formula divides by it.
///
/// As in TensorFlow, each step makes *x* anew from *z*, in proportion to the *η* of that step
/// alone: when a schedule lowers *η*, the whole model shrinks towards zero with it, including what
/// was learnt before. FTRL lowers its own rate, by *n*; give it a constant *η*, or a schedule whose
/// end is not far below its start.
///
/// # Examples
/// ```
/// use ndarray::array;
/// use optim::{Ftrl, OptimizerState};
///
/// let mut state = OptimizerState::<f32>::new(Ftrl::new(0.5).l1(1.0))?;
/// let mut w = array![0.0, 0.0].into_dyn();
/// state.add_variable("w", w.shape())?;
/// state.apply_dense("w", w.view_mut(), &array![0.25_f32, -4.0])?;
/// // A weight whose gradients are small stays exactly zero.
/// assert!(w[0] == 0.0 && w[1] > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-14
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ftrl {
    learning_rate: Schedule,
    learning_rate_power: f64,
    initial_accumulator_value: f64,
    l1: f64,
    l2: f64,
    l2_shrinkage: f64,
}

impl Ftrl {
    /// FTRL with this learning rate, its power −0.5, and no regularization.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Self {
            learning_rate: learning_rate.into(),
            learning_rate_power: -0.5,
            initial_accumulator_value: 0.1,
            l1: 0.0,
            l2: 0.0,
            l2_shrinkage: 0.0,
        }
    }

    /// The power *p* of the rate's decay with *n*, not above zero; zero keeps the rate fixed.
    #[must_use]
    pub fn learning_rate_power(mut self, power: f64) -> Self {
        self.learning_rate_power = power;
        self
    }

    /// The initial value of `accum`, not negative.
    #[must_use]
    pub fn initial_accumulator_value(mut self, value: f64) -> Self {
        self.initial_accumulator_value = value;
        self
    }

    /// The strength of the absolute penalty, not negative.
    #[must_use]
    pub fn l1(mut self, l1: f64) -> Self {
        self.l1 = l1;
        self
    }

    /// The strength of the squared penalty, not negative.
    #[must_use]
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = l2;
        self
    }

    /// The strength of the squared penalty on the gradient's side, not negative.
    #[must_use]
    pub fn l2_shrinkage(mut self, l2_shrinkage: f64) -> Self {
        self.l2_shrinkage = l2_shrinkage;
        self
    }
}

impl<T: Real> Optimizer<T> for Ftrl {
    fn name(&self) -> &'static str {
        "ftrl"
    }

    fn learning_rate(&self) -> &Schedule {
        &self.learning_rate
    }

    fn slots(&self) -> Vec<SlotSpec> {
        let initial = self.initial_accumulator_value;
        vec![SlotSpec::new("accum", initial), SlotSpec::new("linear", 0.0)]
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        self.learning_rate.validate_for::<T>(1.0)?;
        let checks = Checks::<T>::of("ftrl");
        let power = self.learning_rate_power;
        checks.not_positive("learning_rate_power", power)?;
        checks.not_negative("initial_accumulator_value", self.initial_accumulator_value)?;
        checks.not_negative("l1", self.l1)?;
        checks.not_negative("l2", self.l2)?;
        checks.not_negative("l2_shrinkage", self.l2_shrinkage)?;
        checks.not_negative("twice l2", 2.0 * self.l2)?;
        checks.not_negative("twice l2_shrinkage", 2.0 * self.l2_shrinkage)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        Some(self.clone().into())
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        let rate = T::of(step.learning_rate);
        if rate == T::zero() {
            return;
        }
        let exponent = T::of(-self.learning_rate_power);
        let root = self.learning_rate_power == -0.5;
        let power = |n: T| if root { n.sqrt() } else { n.powf(exponent) };
        let (l1, twice_l2) = (T::of(self.l1), T::of(2.0 * self.l2));
        let twice_shrinkage = T::of(2.0 * self.l2_shrinkage);
        let [sums, linears, ..] = tile.slots;
        let elements = tile.variable.iter_mut().zip(sums).zip(linears).zip(tile.gradient);
        widest(|| {
            for (((x, n), z), &g) in elements {
                let sum = *n + g * g;
                let grown = power(sum);
                let sigma = (grown - power(*n)) / rate;
                let linear = *z + (g + twice_shrinkage * *x - sigma * *x);
                let curvature = grown / rate + twice_l2;
                // A rate too small to divide by moves nothing, as zero does. What a gradient that
                // is no number makes is let through, to be seen.
                let overflows = !(curvature.is_finite() && linear.is_finite());
                let keeps = overflows && grown.is_finite();
                let next = if linear.abs() <= l1 {
                    T::zero()
                } else if curvature != T::zero() {
                    (linear.signum() * l1 - linear) / curvature
                } else {
                    // No gradient was seen yet, from a start at zero: nothing says how far to go.
                    *x
                };
                *x = if keeps { *x } else { next };
                *z = if keeps { *z } else { linear };
                *n = if keeps { *n } else { sum };
            }
        });
    }
}
