//! Updates of rows that the caller stores, with their slots beside them.
//!
//! The state has the formula, the scalars and the step; it holds none of the rows.

use super::{OptimizerState, TableOptimizerError, formula, step};
use crate::{MAX_SLOTS, Optimizer, Real, Step, Tile};

/// The update of a step for the rows of one table.
///
/// # Examples
/// ```
/// use optim::{Momentum, OptimizerState, Sgd};
///
/// let mut state = OptimizerState::<f32>::new(Sgd::new(0.5))?;
/// state.check_table("users")?;
/// let mut row = [1.0, 2.0];
/// state.row_update("users").apply(&mut row, &[2.0, 2.0]);
/// assert_eq!(row, [0.0, 1.0]);
///
/// let momentum = OptimizerState::<f32>::new(Momentum::new(0.5, 0.9))?;
/// let error = momentum.check_table("users").unwrap_err();
/// assert!(error.to_string().ends_with("take sgd, adagrad or lazy_adam"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RowUpdate<'a, T: Real> {
    optimizer: &'a dyn Optimizer<T>,
    step: Step<'a>,
    finite: &'a mut bool,
}

impl<T: Real> RowUpdate<'_, T> {
    /// Updates one row: its values, then each of its slots, as many numbers as the gradient has.
    ///
    /// # Panics
    /// When the row has fewer numbers, or more slots than an optimizer can have.
    pub fn apply(&mut self, row: &mut [T], gradient: &[T]) {
        let (variable, slots) = row.split_at_mut(gradient.len());
        let mut slots = slots.chunks_exact_mut(gradient.len().max(1));
        let tile = Tile {
            variable,
            slots: [(); MAX_SLOTS].map(|()| slots.next().unwrap_or_default()),
            gradient,
        };
        assert!(slots.next().is_none(), "a row has more slots than any optimizer");
        *self.finite &= self.optimizer.update_checked(&self.step, tile);
    }
}

/// Whether an optimizer that is not at work yet can update the rows of this table.
///
/// # Errors
/// [`TableOptimizerError`] names an optimizer that can.
// P-17
pub fn check_table<T: Real>(
    optimizer: &dyn Optimizer<T>,
    table: &str,
) -> Result<(), TableOptimizerError> {
    let formula = formula(optimizer, table);
    formula.instead_for_tables().map_or(Ok(()), |instead| {
        let (optimizer, table) = (formula.name(), table.to_owned());
        Err(TableOptimizerError { optimizer, table, instead })
    })
}

impl<T: Real> OptimizerState<T> {
    /// Whether the rows of this table can be updated.
    ///
    /// # Errors
    /// [`TableOptimizerError`] names an optimizer that can.
    // P-17
    pub fn check_table(&self, table: &str) -> Result<(), TableOptimizerError> {
        check_table(&*self.optimizer, table)
    }

    /// What each slot starts with, in the optimizer's order.
    pub fn initial_slots(&self) -> impl Iterator<Item = T> {
        self.slots.iter().map(|slot| T::of(slot.initial))
    }

    /// The update of this step for rows of a table; [`is_finite`](Self::is_finite) tells its
    /// outcome.
    pub fn row_update(&mut self, table: &str) -> RowUpdate<'_, T> {
        let optimizer = formula(&*self.optimizer, table);
        let step = step(optimizer, self.finished, &self.scalar_values);
        RowUpdate { optimizer, step, finite: &mut self.finite }
    }
}
