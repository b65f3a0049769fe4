//! RMSProp, also centred.

use crate::finite::Seen;
use crate::hyper::Checks;
use crate::simd::widest;
use crate::{BuiltIn, HyperParameterError, Optimizer, Real, Schedule, SlotSpec, Step, Tile};

/// RMSProp: *r ← ρ r + (1 − ρ) g²*, *p ← μ p + η g / √(r + ε)*, *x ← x − p*.
///
/// Centred, it divides by the deviation instead: *c ← ρ c + (1 − ρ) g* and *√(r − c² + ε)*.
///
/// Slots: `rms` (*r*, from 1), `momentum` (*p*, from 0) and, when centred, `mg` (*c*, from 0). A
/// sparse gradient leaves all other rows alone.
///
/// # Examples
/// ```
/// use optim::{OptimizerState, RmsProp};
///
/// let state = OptimizerState::<f32>::new(RmsProp::new(0.01).momentum(0.5).centered(true))?;
/// assert_eq!(state.slot_names().collect::<Vec<_>>(), ["rms", "momentum", "mg"]);
/// # Ok::<(), optim::BuildError>(())
/// ```
// R-14
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RmsProp {
    learning_rate: Schedule,
    decay: f64,
    momentum: f64,
    epsilon: f64,
    centered: bool,
}

impl RmsProp {
    /// RMSProp with this learning rate, *ρ* = 0.9, *μ* = 0 and *ε* = 1e-10, not centred.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        let learning_rate = learning_rate.into();
        Self { learning_rate, decay: 0.9, momentum: 0.0, epsilon: 1e-10, centered: false }
    }

    /// The decay *ρ* of the averages, in [0, 1]; below 1 it must stay so once rounded to the
    /// variables' number type.
    #[must_use]
    pub fn decay(mut self, decay: f64) -> Self {
        self.decay = decay;
        self
    }

    /// The momentum *μ*, in [0, 1].
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// The number added under the root, above zero.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether to subtract the mean of the gradients; not by default.
    #[must_use]
    pub fn centered(mut self, centered: bool) -> Self {
        self.centered = centered;
        self
    }
}

impl<T: Real> Optimizer<T> for RmsProp {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn learning_rate(&self) -> &Schedule {
        &self.learning_rate
    }

    fn slots(&self) -> Vec<SlotSpec> {
        let mut slots = vec![SlotSpec::new("rms", 1.0), SlotSpec::new("momentum", 0.0)];
        if self.centered {
            slots.push(SlotSpec::new("mg", 0.0));
        }
        slots
    }

    fn instead_for_tables(&self) -> Option<&'static str> {
        (self.momentum != 0.0).then_some("rmsprop without momentum")
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        self.learning_rate.validate_for::<T>(1.0)?;
        let checks = Checks::<T>::of("rmsprop");
        checks.fraction("decay", self.decay)?;
        checks.fraction("momentum", self.momentum)?;
        checks.positive("epsilon", self.epsilon)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        Some(self.clone().into())
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        let _ = self.update_checked(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        let rate = T::of(step.learning_rate);
        // Of the decay as it is in T, so that the two weights sum to one.
        let decay = T::of(self.decay);
        let rest = T::one() - decay;
        let (momentum, epsilon) = (T::of(self.momentum), T::of(self.epsilon));
        let [squares, momenta, means, ..] = tile.slots;
        let elements = tile.variable.iter_mut().zip(squares).zip(momenta).zip(tile.gradient);
        if self.centered {
            widest(|| {
                let mut seen = Seen::nothing();
                for ((((x, r), p), &g), c) in elements.zip(means) {
                    *r = decay * *r + rest * g * g;
                    *c = decay * *c + rest * g;
                    let variance = *r - *c * *c;
                    // Rounding can take it a little below zero, and the root of that is NaN.
                    let variance = if variance < T::zero() { T::zero() } else { variance };
                    *p = momentum * *p + rate * g / (variance + epsilon).sqrt();
                    *x -= *p;
                    seen.see(*r);
                    seen.see(*x);
                }
                seen.all_finite()
            })
        } else {
            widest(|| {
                let mut seen = Seen::nothing();
                for (((x, r), p), &g) in elements {
                    *r = decay * *r + rest * g * g;
                    *p = momentum * *p + rate * g / (*r + epsilon).sqrt();
                    *x -= *p;
                    // Infinite squares leave a finite variable where it is.
                    seen.see(*r);
                    seen.see(*x);
                }
                seen.all_finite()
            })
        }
    }
}
