//! Gradient descent.

use crate::finite::Seen;
use crate::simd::widest;
use crate::{BuiltIn, HyperParameterError, Optimizer, Real, Schedule, Step, Tile};

/// A tile from which on halves pay; a row of a few numbers is done before they begin.
const LONG: usize = 1 << 13;

/// Gradient descent: *x ← x − η g*. It has no slots.
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
// R-14
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
        self.learning_rate.validate_for::<T>(1.0)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        Some(self.clone().into())
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        let _ = self.update_checked(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        let rate = T::of(step.learning_rate);
        // So little is computed that the pass waits for memory alone, and two streams keep more of
        // it under way than one.
        let half = if tile.variable.len() < LONG { 0 } else { tile.variable.len() / 2 };
        let (halves, rest) = tile.variable.split_at_mut(2 * half);
        let (their_gradient, rest_gradient) = tile.gradient.split_at(2 * half);
        widest(|| {
            let (xs, ys) = halves.split_at_mut(half);
            let (gs, hs) = their_gradient.split_at(half);
            let mut seen = Seen::nothing();
            for ((x, &g), (y, &h)) in xs.iter_mut().zip(gs).zip(ys.iter_mut().zip(hs)) {
                // Both are computed before either is written: the compiler cannot tell that the
                // halves are apart, and would load one again.
                let (new_x, new_y) = (*x - rate * g, *y - rate * h);
                seen.see(new_x);
                seen.see(new_y);
                *x = new_x;
                *y = new_y;
            }
            for (x, &g) in rest.iter_mut().zip(rest_gradient) {
                *x -= rate * g;
                seen.see(*x);
            }
            seen.all_finite()
        })
    }
}
