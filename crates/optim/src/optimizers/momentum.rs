//! Gradient descent with momentum, also in Nesterov's form.

use crate::finite::Seen;
use crate::hyper::Checks;
use crate::simd::widest;
use crate::{BuiltIn, HyperParameterError, Optimizer, Real, Schedule, SlotSpec, Step, Tile};

/// Momentum: *a ← μ a + g*, *x ← x − η a*; Nesterov's form: *x ← x − η (g + μ a)*.
///
/// Slot: `momentum` (*a*, from 0). A sparse gradient leaves all other rows alone, even their *a*.
///
/// # Examples
/// ```
/// use optim::{Momentum, OptimizerState};
///
/// let state = OptimizerState::<f32>::new(Momentum::new(0.1, 0.9).nesterov(true))?;
/// assert_eq!(state.slot_names().collect::<Vec<_>>(), ["momentum"]);
/// # Ok::<(), optim::BuildError>(())
/// ```
// R-14
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Momentum {
    learning_rate: Schedule,
    momentum: f64,
    nesterov: bool,
}

impl Momentum {
    /// Momentum with learning rate *η* and *μ* = `momentum`, which is in [0, 1].
    pub fn new(learning_rate: impl Into<Schedule>, momentum: f64) -> Self {
        Self { learning_rate: learning_rate.into(), momentum, nesterov: false }
    }

    /// Whether to use Nesterov's form; not by default.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }
}

impl<T: Real> Optimizer<T> for Momentum {
    fn name(&self) -> &'static str {
        "momentum"
    }

    fn learning_rate(&self) -> &Schedule {
        &self.learning_rate
    }

    fn slots(&self) -> Vec<SlotSpec> {
        vec![SlotSpec::new("momentum", 0.0)]
    }

    fn instead_for_tables(&self) -> Option<&'static str> {
        Some("sgd, adagrad or lazy_adam")
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        self.learning_rate.validate_for::<T>(1.0)?;
        Checks::<T>::of("momentum").fraction("momentum", self.momentum)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        Some(self.clone().into())
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        let _ = self.update_checked(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        let (rate, momentum) = (T::of(step.learning_rate), T::of(self.momentum));
        let [accumulations, ..] = tile.slots;
        let elements = tile.variable.iter_mut().zip(accumulations).zip(tile.gradient);
        if self.nesterov {
            widest(|| {
                let mut seen = Seen::nothing();
                for ((x, a), &g) in elements {
                    *a = momentum * *a + g;
                    *x -= rate * (g + momentum * *a);
                    seen.see(*x);
                }
                seen.all_finite()
            })
        } else {
            widest(|| {
                let mut seen = Seen::nothing();
                for ((x, a), &g) in elements {
                    *a = momentum * *a + g;
                    *x -= rate * *a;
                    seen.see(*x);
                }
                seen.all_finite()
            })
        }
    }
}
