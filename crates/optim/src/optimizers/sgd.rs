//! Gradient descent.

use crate::finite::Seen;
use crate::hyper::Checks;
use crate::lanes::widest;
use crate::{HyperParameterError, Optimizer, Real, Schedule, Step, Tile};

/// Gradient descent: *x ← x − η g* (R-14). It has no slots.
///
/// # Examples
/// ```
/// use ndarray::array;
/// use optim::{OptimizerState, Sgd};
///
/// let mut state = OptimizerState::<f32>::new(Sgd::new(0.5))?;
/// let mut w = array![1.0, 2.0].into_dyn();
/// state.add_variable("w", w.shape())?;
/// state.apply_dense("w", w.view_mut(), &array![2.0_f32, -4.0])?;
/// assert_eq!(w, array![0.0, 4.0].into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sgd {
    learning_rate: Schedule,
}

impl Sgd {
    /// Gradient descent with this learning rate, a number or a [`Schedule`].
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Self { learning_rate: learning_rate.into() }
    }
}

impl<T: Real> Optimizer<T> for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn learning_rate(&self) -> &Schedule {
        &self.learning_rate
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        Checks::<T>::learning_rate(&self.learning_rate, 1.0)
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        let _ = self.update_checked(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        let rate = T::of(step.learning_rate);
        widest(|| {
            let mut seen = Seen::nothing();
            for (x, &g) in tile.variable.iter_mut().zip(tile.gradient) {
                *x -= rate * g;
                seen.see(*x);
            }
            seen.all_finite()
        })
    }
}
