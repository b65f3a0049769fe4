//! Adam.

use super::moments::{Moments, moments};
use crate::{
    BuiltIn, HyperParameterError, Optimizer, Real, ScalarSpec, Schedule, SlotSpec, SparseReach,
    Step, Tile,
};

/// Adam, with *ε* outside the bias correction.
///
/// *m ← β₁ m + (1 − β₁) g*, *v ← β₂ v + (1 − β₂) g²*,
/// *x ← x − η √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)* in the *t*-th step.
///
/// Slots: `m` and `v` (from 0); scalars: `beta1_power` and `beta2_power`. A sparse gradient, even
/// an empty one, moves **all** rows, because *m* and *v* decay everywhere; [`LazyAdam`] leaves the
/// others alone.
///
/// [`LazyAdam`]: crate::LazyAdam
///
/// # Examples
/// ```
/// use ndarray::array;
/// use optim::{Adam, OptimizerState};
///
/// let mut state = OptimizerState::<f32>::new(Adam::new(0.1).beta1(0.8).epsilon(1e-7))?;
/// let mut w = array![1.0, 1.0].into_dyn();
/// state.add_variable("w", w.shape())?;
/// state.apply_dense("w", w.view_mut(), &array![3.0_f32, -0.001])?;
/// state.finish_step();
/// // The first step is η, whatever the size of the gradient.
/// assert!((w[0] - 0.9).abs() < 1e-3 && (w[1] - 1.1).abs() < 1e-3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-14
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Adam {
    learning_rate: Schedule,
    moments: Moments,
}

impl Adam {
    /// Adam with this learning rate, *β₁* = 0.9, *β₂* = 0.999 and *ε* = 1e-8.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Self { learning_rate: learning_rate.into(), moments: Moments::default() }
    }
}

moments!(setters of Adam);

impl<T: Real> Optimizer<T> for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    moments!(methods);

    fn sparse_reach(&self) -> SparseReach {
        SparseReach::AllRows
    }

    fn instead_for_tables(&self) -> Option<&'static str> {
        Some("lazy_adam")
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        self.moments.validate::<T>("adam", &self.learning_rate)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        Some(self.clone().into())
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        let _ = self.update_checked(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        self.moments.update(step, tile, 0.0)
    }
}
