//! Adagrad.

use crate::finite::Seen;
use crate::hyper::Checks;
use crate::simd::widest;
use crate::{BuiltIn, HyperParameterError, Optimizer, Real, Schedule, SlotSpec, Step, Tile};

/// Adagrad: *a ← a + g²*, *x ← x − η g / √a*.
///
/// Slot: `accumulator` (*a*, from 0.1). A sparse gradient leaves all other rows alone.
///
/// # Examples
/// ```
/// use optim::{Adagrad, OptimizerState};
///
/// let state = OptimizerState::<f64>::new(Adagrad::new(0.1).initial_accumulator_value(1.0))?;
/// assert_eq!(state.slot_names().collect::<Vec<_>>(), ["accumulator"]);
/// # Ok::<(), optim::BuildError>(())
/// ```
// R-14
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Adagrad {
    learning_rate: Schedule,
    initial_accumulator_value: f64,
}

impl Adagrad {
    /// Adagrad with this learning rate.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Self { learning_rate: learning_rate.into(), initial_accumulator_value: 0.1 }
    }

    /// The initial value of the accumulator, above zero.
    #[must_use]
    pub fn initial_accumulator_value(mut self, value: f64) -> Self {
        self.initial_accumulator_value = value;
        self
    }
}

impl<T: Real> Optimizer<T> for Adagrad {
    fn name(&self) -> &'static str {
        "adagrad"
    }

    fn learning_rate(&self) -> &Schedule {
        &self.learning_rate
    }

    fn slots(&self) -> Vec<SlotSpec> {
        vec![SlotSpec::new("accumulator", self.initial_accumulator_value)]
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        self.learning_rate.validate_for::<T>(1.0)?;
        Checks::<T>::of("adagrad")
            .positive("initial_accumulator_value", self.initial_accumulator_value)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        Some(self.clone().into())
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        let _ = self.update_checked(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        let rate = T::of(step.learning_rate);
        let [accumulations, ..] = tile.slots;
        let elements = tile.variable.iter_mut().zip(accumulations).zip(tile.gradient);
        widest(|| {
            let mut seen = Seen::nothing();
            for ((x, a), &g) in elements {
                *a += g * g;
                *x -= rate * g / a.sqrt();
                // An infinite sum leaves a finite variable where it is.
                seen.see(*a);
                seen.see(*x);
            }
            seen.all_finite()
        })
    }
}
