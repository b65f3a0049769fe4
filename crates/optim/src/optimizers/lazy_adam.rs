//! Adam for large tables of which a step touches few rows.

use super::moments::{Moments, moments};
use crate::{
    BuiltIn, HyperParameterError, Optimizer, Real, ScalarSpec, Schedule, SlotSpec, Step, Tile,
};

/// Adam that changes only the rows that a sparse gradient names.
///
/// Formula, slots and scalars are those of [`Adam`](crate::Adam), and with dense gradients it is
/// the same. With sparse ones the moments of untouched rows do not decay: cheaper for large
/// tables, and not the same numbers.
///
/// # Examples
/// ```
/// use ndarray::{ArrayD, array};
/// use optim::{LazyAdam, OptimizerState, SparseGradient};
///
/// let mut state = OptimizerState::<f32>::new(LazyAdam::new(0.1))?;
/// let mut table = ArrayD::zeros(vec![3, 1]);
/// state.add_variable("table", table.shape())?;
/// for row in [0, 2] {
///     let rows = array![[1.0]].into_dyn();
///     let gradient = SparseGradient { indices: &[row], rows: rows.view() };
///     state.apply_sparse("table", table.view_mut(), gradient)?;
///     state.finish_step();
/// }
/// assert_eq!(table[[1, 0]], 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-14
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LazyAdam {
    learning_rate: Schedule,
    moments: Moments,
}

impl LazyAdam {
    /// Lazy Adam with this learning rate, *β₁* = 0.9, *β₂* = 0.999 and *ε* = 1e-8.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Self { learning_rate: learning_rate.into(), moments: Moments::default() }
    }
}

moments!(setters of LazyAdam);

impl<T: Real> Optimizer<T> for LazyAdam {
    fn name(&self) -> &'static str {
        "lazy_adam"
    }

    moments!(methods);

    fn validate(&self) -> Result<(), HyperParameterError> {
        self.moments.validate::<T>("lazy_adam", &self.learning_rate)
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
