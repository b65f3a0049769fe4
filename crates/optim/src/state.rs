//! An optimizer at work: its formula with the slots of every variable, the scalars and the step.
//!
//! It owns no variable: each call is lent one. It reads no clock and starts no thread. Invariant: a
//! call that fails has changed nothing, because everything is checked before anything is touched.

mod apply;
mod checks;
mod error;
#[cfg(feature = "serde")]
mod numbers;
mod parts;
mod rows;
mod saved;

use indexmap::IndexMap;
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD};

use self::checks::check_declarations;
use self::parts::Parts;
use crate::gradient::{CanonicalRows, Scattered};
use crate::{
    DenseGradient, GradientElement, Optimizer, Real, ScalarSpec, SlotSpec, SparseGradient,
    SparseReach, Step,
};

pub(crate) use self::checks::is_countable;
pub use self::error::{
    AddVariableError, ApplyError, BuildError, RestoreError, TableOptimizerError,
};
pub use self::parts::Join;
pub use self::rows::{RowUpdate, check_table};
pub(crate) use self::saved::Reader;
pub use self::saved::{StateMap, StateValue};

/// The entry of a saved state that counts finished steps.
const STEP: &str = "step";

/// An optimizer at work: named slots for named variables, dense and sparse updates.
///
/// One step is: apply a gradient to every variable that has one, then [`finish_step`].
///
/// [`finish_step`]: Self::finish_step
///
/// # Examples
/// ```
/// use ndarray::array;
/// use optim::{OptimizerState, Sgd, SparseGradient};
///
/// let mut state = OptimizerState::<f32>::new(Sgd::new(1.0))?;
/// let mut table = array![[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]].into_dyn();
/// state.add_variable("table", table.shape())?;
///
/// // Rows of the same index are summed before the update.
/// let rows = array![[0.5, 0.0], [1.0, 1.0], [0.5, 0.0]].into_dyn();
/// let gradient = SparseGradient { indices: &[2, 0, 2], rows: rows.view() };
/// state.apply_sparse("table", table.view_mut(), gradient)?;
/// state.finish_step();
/// assert_eq!(table, array![[0.0, 0.0], [2.0, 2.0], [2.0, 3.0]].into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-14, R-15
#[derive(Debug)]
pub struct OptimizerState<T: Real> {
    optimizer: Box<dyn Optimizer<T>>,
    slots: Vec<SlotSpec>,
    scalars: Vec<ScalarSpec>,
    scalar_values: Vec<f64>,
    finished: u64,
    variables: IndexMap<String, Variable<T>>,
    scratch: Vec<T>,
    parts: Parts,
    finite: bool,
}

/// What is kept for one variable.
#[derive(Debug)]
struct Variable<T> {
    /// The variable whose formula it has: itself, unless it is a part of another.
    whole: String,
    shape: Vec<usize>,
    /// In standard layout, in the order in which the optimizer declared them.
    slots: Vec<ArrayD<T>>,
}

impl<T: Real> OptimizerState<T> {
    /// Puts an optimizer to work, with no variables and no finished steps yet.
    ///
    /// A `Box<dyn Optimizer<T>>` is also an optimizer.
    ///
    /// # Errors
    /// A hyper-parameter that the formula cannot take, or slots that cannot be named.
    pub fn new(optimizer: impl Optimizer<T> + 'static) -> Result<Self, BuildError> {
        optimizer.validate()?;
        let (slots, scalars) = (optimizer.slots(), optimizer.scalars());
        check_declarations(optimizer.name(), &slots, &scalars)?;
        Ok(Self {
            optimizer: Box::new(optimizer),
            slots,
            scalar_values: scalars.iter().map(|scalar| scalar.initial).collect(),
            scalars,
            finished: 0,
            variables: IndexMap::new(),
            scratch: Vec::new(),
            parts: Parts::one(),
            finite: true,
        })
    }

    /// Lets dense updates of large variables run in up to `ways` parts, which `join` runs.
    ///
    /// The result has the same bits whatever the choice. Small variables are never cut.
    ///
    /// # Examples
    /// ```
    /// use optim::{OptimizerState, Sgd};
    ///
    /// // Two threads for as long as an update takes; a pool, such as rayon's, spares the start.
    /// let state = OptimizerState::<f32>::new(Sgd::new(0.1))?.side_by_side(2, |first, second| {
    ///     std::thread::scope(|scope| {
    ///         scope.spawn(first);
    ///         second();
    ///     });
    /// });
    /// # Ok::<(), optim::BuildError>(())
    /// ```
    #[must_use]
    pub fn side_by_side(mut self, ways: usize, join: Join) -> Self {
        self.parts = Parts { ways, join };
        self
    }

    /// Adds a variable and creates its slots, each filled with its initial value.
    ///
    /// # Errors
    /// The name is taken, or the shape has too many elements.
    pub fn add_variable(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
    ) -> Result<(), AddVariableError> {
        let name = name.into();
        self.add_part(name.clone(), name, shape)
    }

    /// Adds a part of a variable, which has the formula of the whole ([`Groups`](crate::Groups)).
    ///
    /// # Errors
    /// As [`add_variable`](Self::add_variable).
    pub fn add_part(
        &mut self,
        name: impl Into<String>,
        whole: impl Into<String>,
        shape: &[usize],
    ) -> Result<(), AddVariableError> {
        let name = name.into();
        if self.variables.contains_key(&name) {
            return Err(AddVariableError::Duplicate { name });
        }
        if !is_countable::<T>(shape) {
            return Err(AddVariableError::TooLarge { name, shape: shape.to_vec() });
        }
        let filled = |slot: &SlotSpec| ArrayD::from_elem(shape, T::of(slot.initial));
        let slots = self.slots.iter().map(filled).collect();
        let (whole, shape) = (whole.into(), shape.to_vec());
        self.variables.insert(name, Variable { whole, shape, slots });
        Ok(())
    }

    /// Updates a variable from a gradient of the same shape, in one pass over both.
    ///
    /// # Errors
    /// An unknown name, or a shape that does not fit.
    pub fn apply_dense(
        &mut self,
        name: &str,
        variable: ArrayViewMutD<'_, T>,
        gradient: &dyn DenseGradient<T>,
    ) -> Result<(), ApplyError> {
        self.dense(name, None, variable, gradient)
    }

    /// The same from a variable's values to another array, so that readers keep the old ones; the
    /// other array's old contents do not matter.
    ///
    /// # Errors
    /// As [`apply_dense`](Self::apply_dense), for either array.
    ///
    /// # Examples
    /// ```
    /// use ndarray::array;
    /// use optim::{OptimizerState, Sgd};
    ///
    /// let mut state = OptimizerState::<f32>::new(Sgd::new(1.0))?;
    /// let (old, mut new) = (array![5.0].into_dyn(), array![f32::NAN].into_dyn());
    /// state.add_variable("w", old.shape())?;
    /// state.apply_dense_from("w", old.view(), new.view_mut(), &array![2.0_f32])?;
    /// assert_eq!((old[0], new[0]), (5.0, 3.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply_dense_from(
        &mut self,
        name: &str,
        from: ArrayViewD<'_, T>,
        to: ArrayViewMutD<'_, T>,
        gradient: &dyn DenseGradient<T>,
    ) -> Result<(), ApplyError> {
        find(&mut self.variables, name, from.shape())?;
        self.dense(name, Some(from), to, gradient)
    }

    fn dense(
        &mut self,
        name: &str,
        from: Option<ArrayViewD<'_, T>>,
        variable: ArrayViewMutD<'_, T>,
        gradient: &dyn DenseGradient<T>,
    ) -> Result<(), ApplyError> {
        let kept = find(&mut self.variables, name, variable.shape())?;
        if gradient.shape() != kept.shape {
            let (expected, actual) = (kept.shape.clone(), gradient.shape().to_vec());
            return Err(ApplyError::GradientShape { expected, actual });
        }
        let optimizer = formula(&*self.optimizer, &kept.whole);
        let step = step(optimizer, self.finished, &self.scalar_values);
        let pass = apply::Pass { optimizer, step, parts: self.parts };
        let finite = pass.dense(from, variable, &mut kept.slots, gradient, &mut self.scratch);
        self.finite &= finite;
        Ok(())
    }

    /// Updates the rows that a sparse gradient names, or all rows, if the optimizer says so.
    ///
    /// For a variable of shape *d₀ × d₁ × …* and *n* indices the rows are *n × d₁ × …*. Rows of the
    /// same index are summed first. With strictly ascending indices no row is copied.
    ///
    /// # Errors
    /// An unknown name, a shape that does not fit, or an index that is not a row of the variable.
    pub fn apply_sparse<E: GradientElement<T>>(
        &mut self,
        name: &str,
        variable: ArrayViewMutD<'_, T>,
        gradient: SparseGradient<'_, E>,
    ) -> Result<(), ApplyError> {
        let kept = find(&mut self.variables, name, variable.shape())?;
        let rows = CanonicalRows::new(&kept.shape, &gradient)?;
        let optimizer = formula(&*self.optimizer, &kept.whole);
        let step = step(optimizer, self.finished, &self.scalar_values);
        let pass = apply::Pass { optimizer, step, parts: self.parts };
        let finite = match optimizer.sparse_reach() {
            SparseReach::TouchedRows => {
                pass.rows(variable, &mut kept.slots, &rows, &mut self.scratch)
            }
            SparseReach::AllRows => {
                let scattered = Scattered { shape: kept.shape.clone(), rows };
                pass.dense(None, variable, &mut kept.slots, &scattered, &mut self.scratch)
            }
        };
        self.finite &= finite;
        Ok(())
    }

    /// Whether all gradients were finite, and all results of the updates, variables and slots;
    /// since the last [`restore`](Self::restore), if any. The updates find out in their own pass;
    /// the caller decides what follows.
    // P-25
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.finite
    }

    /// Ends a step, after all its variables were updated: advances the scalars and the schedule.
    pub fn finish_step(&mut self) {
        self.optimizer.finish(&mut self.scalar_values);
        self.finished += 1;
    }

    /// How many steps were finished.
    #[must_use]
    pub fn finished_steps(&self) -> u64 {
        self.finished
    }

    /// The learning rate of the step under way.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate().at(self.finished)
    }

    /// The formula.
    #[must_use]
    pub fn optimizer(&self) -> &dyn Optimizer<T> {
        &*self.optimizer
    }

    /// The names of the slots that every variable has, in the optimizer's order.
    // R-15
    pub fn slot_names(&self) -> impl Iterator<Item = &'static str> {
        self.slots.iter().map(|slot| slot.name)
    }

    /// A slot of a variable; `None` if there is no such variable or slot.
    // R-15
    #[must_use]
    pub fn slot(&self, variable: &str, slot: &str) -> Option<ArrayViewD<'_, T>> {
        let position = self.slots.iter().position(|spec| spec.name == slot)?;
        Some(self.variables.get(variable)?.slots[position].view())
    }

    /// The names of the variables, in the order in which they were added.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// Everything to save, by name: slots as `variable/slot`, scalars such as `beta1_power`, and
    /// `step`. Tensors are borrowed, not copied.
    // R-15
    #[must_use]
    pub fn state(&self) -> StateMap<'_, T> {
        let mut map = StateMap::new();
        map.insert(STEP.to_owned(), StateValue::Counter(self.finished));
        for (scalar, &value) in self.scalars.iter().zip(&self.scalar_values) {
            map.insert(scalar.name.to_owned(), StateValue::Scalar(value));
        }
        for (name, variable) in &self.variables {
            for (slot, values) in self.slots.iter().zip(&variable.slots) {
                let tensor = StateValue::Tensor(values.view().into());
                map.insert(format!("{name}/{}", slot.name), tensor);
            }
        }
        map
    }

    /// Replaces everything that [`state`](Self::state) lists, all or nothing.
    ///
    /// Add the variables first. What follows is bit-identical to a run that was never interrupted.
    ///
    /// # Errors
    /// An entry that is missing, unknown, of another shape or kind, or an invalid number.
    // R-15
    pub fn restore(&mut self, saved: &StateMap<'_, T>) -> Result<(), RestoreError> {
        let mine = self.state();
        let reader = Reader::new(saved, |name| mine.contains_key(name))?;
        let finished = reader.counter(STEP)?;
        let scalar_values = self
            .scalars
            .iter()
            .map(|scalar| reader.scalar(scalar.name, (scalar.least, scalar.most)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut tensors = Vec::with_capacity(self.variables.len() * self.slots.len());
        for (name, variable) in &self.variables {
            for slot in &self.slots {
                let key = format!("{name}/{}", slot.name);
                tensors.push(reader.tensor(&key, &variable.shape)?);
            }
        }
        self.finite = true;
        self.finished = finished;
        self.scalar_values = scalar_values;
        let slots = self.variables.values_mut().flat_map(|variable| &mut variable.slots);
        for (slot, tensor) in slots.zip(tensors) {
            slot.assign(&tensor);
        }
        Ok(())
    }
}

/// A variable's own formula, if it has one.
fn formula<'a, T: Real>(optimizer: &'a dyn Optimizer<T>, variable: &str) -> &'a dyn Optimizer<T> {
    optimizer.of_variable(variable).unwrap_or(optimizer)
}

fn step<'a, T: Real>(optimizer: &dyn Optimizer<T>, finished: u64, scalars: &'a [f64]) -> Step<'a> {
    Step { learning_rate: optimizer.learning_rate().at(finished), finished, scalars }
}

/// The variable of that name, if the lent array has its shape.
fn find<'a, T>(
    variables: &'a mut IndexMap<String, Variable<T>>,
    name: &str,
    shape: &[usize],
) -> Result<&'a mut Variable<T>, ApplyError> {
    let Some(kept) = variables.get_mut(name) else {
        return Err(ApplyError::UnknownVariable { name: name.to_owned() });
    };
    if kept.shape != shape {
        let (expected, actual) = (kept.shape.clone(), shape.to_vec());
        return Err(ApplyError::VariableShape { name: name.to_owned(), expected, actual });
    }
    Ok(kept)
}
