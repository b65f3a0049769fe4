//! The formula of an optimizer, without any state: what slots it needs and how one tile of a
//! variable is updated.
//!
//! It does not know shapes, names of variables, layouts, or sparse gradients: [`OptimizerState`]
//! does, and hands out plain slices. Invariant: `update` is elementwise, so that the result does
//! not depend on how a variable was cut into tiles.
//!
//! [`OptimizerState`]: crate::OptimizerState

use std::fmt::Debug;

use crate::finite::all_finite;
use crate::{BuiltIn, HyperParameterError, Real, Schedule};

/// The most slots that an optimizer may have for one variable.
pub const MAX_SLOTS: usize = 4;

/// An update formula: hyper-parameters, slots and the elementwise kernel.
///
/// Implement it for your own formula, and [`OptimizerState`](crate::OptimizerState) adds named
/// slots, dense and sparse gradients, any memory layout, saving and restoring.
///
/// Its `Debug` output has all its numbers: the processes of a cluster compare it.
///
/// # Examples
/// Sign descent with a slot that counts how often each element moved:
/// ```
/// use ndarray::array;
/// use optim::{
///     HyperParameterError, Optimizer, OptimizerState, Real, Schedule, SlotSpec, Step, Tile,
/// };
///
/// #[derive(Debug)]
/// struct Sign(Schedule);
///
/// impl<T: Real> Optimizer<T> for Sign {
///     fn name(&self) -> &'static str {
///         "sign"
///     }
///     fn learning_rate(&self) -> &Schedule {
///         &self.0
///     }
///     fn slots(&self) -> Vec<SlotSpec> {
///         vec![SlotSpec::new("moves", 0.0)]
///     }
///     fn validate(&self) -> Result<(), HyperParameterError> {
///         Ok(())
///     }
///     fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
///         let rate = T::of(step.learning_rate);
///         let [moves, ..] = tile.slots;
///         for ((x, n), &g) in tile.variable.iter_mut().zip(moves).zip(tile.gradient) {
///             if g != T::zero() {
///                 *x -= rate * g.signum();
///                 *n += T::one();
///             }
///         }
///     }
/// }
///
/// let mut state = OptimizerState::<f32>::new(Sign(0.5.into()))?;
/// let mut w = array![1.0, 2.0].into_dyn();
/// state.add_variable("w", w.shape())?;
/// state.apply_dense("w", w.view_mut(), &array![-7.0_f32, 0.0])?;
/// assert_eq!(w, array![1.5, 2.0].into_dyn());
/// assert_eq!(state.slot("w", "moves").expect("it has that slot"), array![1.0, 0.0].into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-14
pub trait Optimizer<T: Real>: Send + Sync + Debug {
    /// A short name for messages and logs, such as `adam`.
    fn name(&self) -> &'static str;

    /// The learning rate as a function of the number of finished steps.
    // R-17
    fn learning_rate(&self) -> &Schedule;

    /// The slots of each variable, at most [`MAX_SLOTS`]; none when not overridden.
    fn slots(&self) -> Vec<SlotSpec> {
        Vec::new()
    }

    /// The numbers that are kept once for all variables; none when not overridden.
    fn scalars(&self) -> Vec<ScalarSpec> {
        Vec::new()
    }

    /// Advances the scalars, given in the order of [`scalars`](Self::scalars), after all variables
    /// of a step were updated.
    fn finish(&self, _scalars: &mut [f64]) {}

    /// Which rows a sparse gradient changes; only those it names when not overridden.
    fn sparse_reach(&self) -> SparseReach {
        SparseReach::TouchedRows
    }

    /// Which optimizer a table takes instead, in words, if this one's formula would have to move
    /// rows that no gradient names: those of a table are found only by gradients. When not
    /// overridden, by [`sparse_reach`](Self::sparse_reach).
    // P-17
    fn instead_for_tables(&self) -> Option<&'static str> {
        (self.sparse_reach() == SparseReach::AllRows).then_some("one that touches named rows alone")
    }

    /// Checks the hyper-parameters; called once, when the state is built. A number must fit the
    /// formula even once it is rounded to `T`.
    ///
    /// # Errors
    /// The first parameter that the formula cannot take.
    fn validate(&self) -> Result<(), HyperParameterError>;

    /// The formula for one variable, for optimizers whose numbers differ by variable; by default
    /// the same for all. Slots and scalars are this variable's.
    fn of_variable(&self, _variable: &str) -> Option<&dyn Optimizer<T>> {
        None
    }

    /// The same as a value that can travel to a process without this program, if this crate has the
    /// formula; `None` when not overridden.
    fn built_in(&self) -> Option<BuiltIn> {
        None
    }

    /// Updates one tile in place: element `i` of the variable and of each slot from element `i` of
    /// the gradient, and from nothing else.
    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>);

    /// The same, and whether the gradient and all results are finite.
    ///
    /// When not overridden, the tile is read once more; a kernel that has the numbers at hand finds
    /// out sooner.
    // P-25
    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        let Tile { variable, mut slots, gradient } = tile;
        let lent = slots.each_mut().map(|slot| &mut **slot);
        self.update(step, Tile { variable: &mut *variable, slots: lent, gradient });
        all_finite(gradient) & all_finite(variable) & slots.iter().all(|slot| all_finite(slot))
    }
}

impl<T: Real, O: Optimizer<T> + ?Sized> Optimizer<T> for Box<O> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn learning_rate(&self) -> &Schedule {
        (**self).learning_rate()
    }

    fn slots(&self) -> Vec<SlotSpec> {
        (**self).slots()
    }

    fn scalars(&self) -> Vec<ScalarSpec> {
        (**self).scalars()
    }

    fn finish(&self, scalars: &mut [f64]) {
        (**self).finish(scalars);
    }

    fn sparse_reach(&self) -> SparseReach {
        (**self).sparse_reach()
    }

    fn instead_for_tables(&self) -> Option<&'static str> {
        (**self).instead_for_tables()
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        (**self).validate()
    }

    fn of_variable(&self, variable: &str) -> Option<&dyn Optimizer<T>> {
        (**self).of_variable(variable)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        (**self).built_in()
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        (**self).update(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        (**self).update_checked(step, tile)
    }
}

/// What is the same for every tile of one step.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step<'a> {
    /// The schedule's value at this step.
    pub learning_rate: f64,
    /// How many steps were finished before this one.
    pub finished: u64,
    /// The optimizer's scalars, in the order in which it declared them.
    pub scalars: &'a [f64],
}

/// A run of consecutive elements of one variable, with what belongs to them.
///
/// `variable`, `gradient` and each declared slot have the same length; the places past the
/// declared slots are empty, so that a kernel can take what it needs:
/// `let [m, v, ..] = tile.slots;`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tile<'a, T> {
    /// The elements to update.
    pub variable: &'a mut [T],
    /// The slots, in the order in which the optimizer declared them.
    pub slots: [&'a mut [T]; MAX_SLOTS],
    /// The gradient of those elements.
    pub gradient: &'a [T],
}

/// A slot of every variable: same shape, one initial value.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SlotSpec {
    /// The slot's name, without a slash.
    pub name: &'static str,
    /// The initial value of every element.
    pub initial: f64,
}

impl SlotSpec {
    /// A slot called `name` that starts at `initial` everywhere.
    #[must_use]
    pub const fn new(name: &'static str, initial: f64) -> Self {
        Self { name, initial }
    }
}

/// A number that the optimizer keeps once for all variables, such as a power of Adam's beta.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ScalarSpec {
    /// The scalar's name, without a slash.
    pub name: &'static str,
    /// Its initial value.
    pub initial: f64,
    /// Its least possible value: a saved one below is refused.
    pub least: f64,
    /// Its largest possible value.
    pub most: f64,
}

impl ScalarSpec {
    /// A scalar called `name` that starts at `initial`, and is any finite number later.
    #[must_use]
    pub const fn new(name: &'static str, initial: f64) -> Self {
        Self { name, initial, least: f64::MIN, most: f64::MAX }
    }

    /// The same, always from `least` to `most`.
    #[must_use]
    pub const fn within(self, least: f64, most: f64) -> Self {
        Self { least, most, ..self }
    }
}

/// Which rows of a variable a sparse gradient changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SparseReach {
    /// The rows that the gradient names.
    TouchedRows,
    /// Every row: those that the gradient does not name see a gradient of zero.
    AllRows,
}
