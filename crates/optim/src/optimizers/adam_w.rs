//! Adam with decoupled weight decay.

use super::moments::{Moments, moments};
use crate::hyper::Checks;
use crate::{
    BuiltIn, HyperParameterError, Optimizer, Real, ScalarSpec, Schedule, SlotSpec, SparseReach,
    Step, Tile,
};

/// Adam whose variables also shrink by *η λ x* in each step, apart from the moments, as in
/// "Decoupled Weight Decay Regularization" (Loshchilov and Hutter, 2019).
///
/// The shrinkage follows the schedule of the learning rate. Slots, scalars, and the reach of a
/// sparse gradient are those of [`Adam`](crate::Adam): all rows decay.
///
/// # Examples
/// ```
/// use ndarray::array;
/// use optim::{AdamW, OptimizerState};
///
/// let mut state = OptimizerState::<f64>::new(AdamW::new(0.1).weight_decay(0.5))?;
/// let mut w = array![2.0].into_dyn();
/// state.add_variable("w", w.shape())?;
/// state.apply_dense("w", w.view_mut(), &array![0.0])?;
/// assert_eq!(w[0], 2.0 - 0.1 * 0.5 * 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-14
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AdamW {
    learning_rate: Schedule,
    moments: Moments,
    weight_decay: f64,
}

impl AdamW {
    /// AdamW with this learning rate, *λ* = 0.01, *β₁* = 0.9, *β₂* = 0.999 and *ε* = 1e-8.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        let learning_rate = learning_rate.into();
        Self { learning_rate, moments: Moments::default(), weight_decay: 0.01 }
    }

    /// *λ*, not negative.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }
}

moments!(setters of AdamW);

impl<T: Real> Optimizer<T> for AdamW {
    fn name(&self) -> &'static str {
        "adam_w"
    }

    moments!(methods);

    fn sparse_reach(&self) -> SparseReach {
        SparseReach::AllRows
    }

    fn instead_for_tables(&self) -> Option<&'static str> {
        Some("lazy_adam, which has no weight decay")
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        self.moments.validate::<T>("adam_w", &self.learning_rate)?;
        Checks::<T>::of("adam_w").not_negative("weight_decay", self.weight_decay)?;
        self.learning_rate.validate_for::<T>(self.weight_decay)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        Some(self.clone().into())
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        let _ = self.update_checked(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        self.moments.update(step, tile, step.learning_rate * self.weight_decay)
    }
}
