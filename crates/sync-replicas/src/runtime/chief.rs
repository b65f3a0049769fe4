//! The chief's step: mean, update, global step, tokens, averages, in that order.
//!
//! Whoever closes a step acts as the chief, holding its lock; there is no thread to hand over to.

use std::sync::Arc;

use accum_core::GlobalStep;
use hooks::StepReport;
use ndarray::ArrayD;
use optim::{ExponentialMovingAverage, OptimizerState, SparseGradient, StateMap, StateValue};

use super::core::Closing;
use super::failure::describe;
use super::not_finite::{Cause, NotFinite, not_finite_in};
use super::retired::Retired;
use super::shared::Shared;
use super::snapshot::Snapshot;
use super::sums::{Averaged, VariableSum};
use super::update_error::{Failed, Torn, UpdateError};
use crate::checkpoint::{RunId, Tested, TrainingState};
use crate::{Gradient, Gradients, Scalar, TrainingView, UpdateMade, Variables};

/// What only the chief touches: the optimizer and the averages.
#[derive(Debug)]
pub(crate) struct Chief<T: Scalar> {
    /// Whose checkpoints these are (P-24).
    pub(crate) run: RunId,
    pub(crate) optimizer: OptimizerState<T>,
    pub(crate) averages: Option<ExponentialMovingAverage<T>>,
    /// Readers wait for an update that nobody read before.
    pub(crate) use_locking: bool,
    /// Whether the last averaged gradient is kept to be looked at (P-10).
    pub(crate) observe: bool,
    pub(crate) last_average: Option<Arc<Gradients<T>>>,
    /// Whether an update that is not finite is refused (P-25).
    finite_only: bool,
    /// What the losses have told of the variables' steps.
    pub(crate) tested: Tested,
    condition: Condition,
    half: Option<Half<T>>,
    /// Where the next values go while somebody reads the newest ones.
    retired: Retired<T>,
}

/// A step of which some lanes are applied and others are not, where each variable is admitted for
/// itself: readers see it as it is, checkpoints and new generations do not (P-11).
#[derive(Debug)]
struct Half<T: Scalar> {
    /// The variables before the first of them.
    before: Arc<Snapshot<T>>,
    /// The slots before, by name.
    slots: Vec<(String, ArrayD<T>)>,
    averages: Gradients<T>,
}

/// Whether variables, slots and averages are of one step (P-11).
#[derive(Debug)]
enum Condition {
    Whole,
    /// The update of this step is under way; should it panic, it is found like this.
    Updating(GlobalStep),
    /// An update failed, in these words; only a restore mends it.
    Torn(String),
}

impl<T: Scalar> Chief<T> {
    pub(crate) fn new(
        optimizer: OptimizerState<T>,
        averages: Option<ExponentialMovingAverage<T>>,
        use_locking: bool,
        observe: bool,
        finite_only: bool,
        readers: usize,
    ) -> Self {
        Self {
            run: RunId::draw(),
            optimizer,
            averages,
            use_locking,
            observe,
            last_average: None,
            finite_only,
            tested: Tested::default(),
            condition: Condition::Whole,
            half: None,
            retired: Retired::new(readers),
        }
    }

    /// Whose checkpoints these are.
    pub(crate) fn of_run(self, run: RunId) -> Self {
        Self { run, ..self }
    }

    /// Forgets what belongs to an earlier life, a half-made step among it: the variables before it,
    /// if there is one.
    pub(crate) fn clear(&mut self) -> Option<Variables<T>> {
        self.last_average = None;
        self.half.as_ref()?;
        let state = self.optimizer_state();
        let half = self.half.take()?;
        if let Err(error) = self.optimizer.restore(&state) {
            self.condition = Condition::Torn(error.to_string());
        }
        Some(half.before.variables.clone())
    }

    /// The newest variables of a whole step.
    pub(crate) fn whole_step(&self, shared: &Shared<T>) -> Arc<Snapshot<T>> {
        match &self.half {
            Some(half) => Arc::clone(&half.before),
            None => shared.snapshot(),
        }
    }

    /// The optimizer's state as of that step.
    pub(crate) fn optimizer_state(&self) -> StateMap<'static, T> {
        let state = self.optimizer.state().into_iter();
        let mut state: StateMap<'static, T> =
            state.map(|(name, value)| (name, value.into_owned())).collect();
        for (name, slot) in self.half.iter().flat_map(|half| &half.slots) {
            state.insert(name.clone(), StateValue::Tensor(slot.clone().into()));
        }
        state
    }

    /// Whether all that it has is of one step.
    ///
    /// # Errors
    /// [`Torn`].
    pub(crate) fn whole(&self) -> Result<(), Torn> {
        let reason = match &self.condition {
            Condition::Whole => return Ok(()),
            Condition::Updating(step) => format!("the update of step {step} panicked"),
            Condition::Torn(reason) => reason.clone(),
        };
        Err(Torn { reason })
    }

    /// Takes a saved optimizer and averages over, all or nothing; says what does not fit.
    pub(crate) fn restore(&mut self, state: &TrainingState<T>) -> Result<(), String> {
        let name = self.optimizer.optimizer().name();
        if state.optimizer != name {
            return Err(format!("the optimizer is {name} here and {} there", state.optimizer));
        }
        let mut averages = self.averages.clone();
        match (&mut averages, &state.averages) {
            (Some(averages), Some(saved)) => {
                averages.restore(saved).map_err(|error| format!("moving averages: {error}"))?;
            }
            (None, None) => {}
            (Some(_), None) => return Err("moving averages are kept here but not there".into()),
            (None, Some(_)) => return Err("moving averages are kept there but not here".into()),
        }
        self.optimizer
            .restore(&state.optimizer_state)
            .map_err(|error| format!("optimizer {name}: {error}"))?;
        self.averages = averages;
        self.tested = Tested::default();
        self.half = None;
        self.condition = Condition::Whole;
        Ok(())
    }

    /// Updates the variables of lanes that closed; the report is there once the step is made.
    pub(crate) fn apply(
        &mut self,
        shared: &Shared<T>,
        closing: Closing<T>,
    ) -> Result<Option<StepReport>, UpdateError> {
        let (step, generation) = {
            let published = shared.published();
            (published.global_step, published.generation)
        };
        if closing.generation != generation {
            // A restore came between the close and this lock (P-9).
            return Ok(None);
        }
        self.whole()?;
        let (last, examples) = (closing.is_last(), closing.examples);
        let mut report = StepReport::new(step.get().saturating_add(1))
            .with_scalar("gradients", closing.count as f64)
            .with_scalar("examples", examples as f64);
        report.loss = closing.loss;
        if let Some(finite) = closing.finite_loss {
            // The batches were computed from the variables before the update.
            self.tested.loss(step.get(), finite);
        }
        self.condition = Condition::Updating(step);
        let made = self.make(shared, closing);
        self.condition = match &made {
            Ok(()) => Condition::Whole,
            Err(error) => Condition::Torn(describe(error)),
        };
        made?;
        if let Some(record) = shared.record.as_ref().filter(|_| last) {
            let (step, loss) = (report.global_step, report.loss);
            record.add_update(UpdateMade { step, loss, examples, at: shared.now() });
        }
        Ok(last.then_some(report))
    }

    /// variables, global step, tokens, averages. A stop that comes in between changes
    /// nothing about it.
    fn make(&mut self, shared: &Shared<T>, mut closing: Closing<T>) -> Result<(), UpdateError> {
        let lanes = closing.lanes.take();
        if lanes.is_some() {
            self.keep_before(shared, &closing);
        }
        let last = lanes.is_none();
        let mut average = self.publish(shared, (closing, last))?;
        if let Some(half) = &mut self.half {
            let earlier = std::mem::take(&mut half.averages);
            let own = average.into_pairs().into_iter();
            average = own.fold(earlier, |all, (name, gradient)| all.with(name, gradient));
        }
        if !last {
            if let Some(half) = &mut self.half {
                half.averages = average;
            }
            shared.updated(lanes.as_deref());
            return Ok(());
        }
        self.half = None;
        // The step, then the tokens; whoever waits goes on from here.
        shared.updated(None);
        if self.observe {
            self.observed(shared, average);
        }
        if self.averages.is_some() {
            self.average(&shared.snapshot().variables)?;
        }
        Ok(())
    }

    /// Keeps what lanes that do not make the step are about to change.
    fn keep_before(&mut self, shared: &Shared<T>, closing: &Closing<T>) {
        let names = closing.sums.iter().map(|(index, _)| shared.layout.name(*index));
        let mut slots = Vec::new();
        for name in names {
            for slot in self.optimizer.slot_names() {
                let value = self.optimizer.slot(name, slot).map(|slot| slot.to_owned());
                slots.extend(value.map(|value| (format!("{name}/{slot}"), value)));
            }
        }
        let averages = Gradients::new();
        let half = self.half.get_or_insert_with(|| Half {
            before: shared.snapshot(),
            slots: Vec::new(),
            averages,
        });
        half.slots.extend(slots);
    }

    /// Updates in place what nobody reads; otherwise beside it, and readers never wait. The
    /// averages, if they are to be looked at.
    fn publish(
        &mut self,
        shared: &Shared<T>,
        closing: (Closing<T>, bool),
    ) -> Result<Gradients<T>, UpdateError> {
        let mut published = shared.published();
        if let Some(snapshot) = Arc::get_mut(&mut published).filter(|_| self.use_locking) {
            return shared.updating(|| self.update(snapshot, closing));
        }
        let mut next = Snapshot::clone(&published);
        drop(published);
        let averages = shared.updating(|| self.update(&mut next, closing))?;
        *shared.published() = Arc::new(next);
        Ok(averages)
    }

    fn update(
        &mut self,
        snapshot: &mut Snapshot<T>,
        (closing, last): (Closing<T>, bool),
    ) -> Result<Gradients<T>, UpdateError> {
        let step = snapshot.global_step;
        let mut averages = Gradients::new();
        for (index, sum) in closing.sums {
            let (name, array) = snapshot.variables.named_mut(index);
            let average = self.update_variable((index, name), array, sum);
            let average = average.map_err(|failed| match failed {
                Failed::Optimizer(source) => {
                    UpdateError::Optimizer { name: name.to_owned(), step, source }
                }
                Failed::NotFinite(found) => {
                    let cause = Cause::of(&closing.contributors, found.as_deref());
                    NotFinite { variable: name.to_owned(), step, cause }.into()
                }
            })?;
            if let Some(average) = average {
                averages = averages.with(name.to_owned(), average);
            }
        }
        if last {
            self.optimizer.finish_step();
            snapshot.global_step = step.next().unwrap_or(step);
        }
        Ok(averages)
    }

    /// Averages and applies one variable's gradients; the average, if it is to be looked at.
    fn update_variable(
        &mut self,
        (index, name): (usize, &str),
        variable: &mut Arc<ArrayD<T>>,
        sum: VariableSum<T>,
    ) -> Result<Option<Gradient<T>>, Failed> {
        if let Some(variable) = Arc::get_mut(variable) {
            return self.write(name, (None, variable), sum);
        }
        // Somebody reads it, so the next values go to another array.
        let mut next = self.retired.take(index, variable);
        let average = self.write(name, (Some(variable), &mut next), sum)?;
        self.retired.keep(index, std::mem::replace(variable, Arc::new(next)));
        Ok(average)
    }

    /// Writes a variable's next values, from its old ones if these are elsewhere.
    fn write(
        &mut self,
        name: &str,
        (from, to): (Option<&ArrayD<T>>, &mut ArrayD<T>),
        sum: VariableSum<T>,
    ) -> Result<Option<Gradient<T>>, Failed> {
        match sum {
            VariableSum::Dense(mut sum) => {
                // Each gradient is read once, inside the optimizer's own pass.
                let mean = Averaged(sum.addends());
                match from {
                    Some(from) => {
                        self.optimizer.apply_dense_from(name, from.view(), to.view_mut(), &mean)?;
                    }
                    None => self.optimizer.apply_dense(name, to.view_mut(), &mean)?,
                }
                if self.is_not_finite() {
                    return Err(Failed::NotFinite(not_finite_in(&sum)));
                }
                Ok(self.observe.then(|| Gradient::Dense(sum.into_value())))
            }
            VariableSum::Sparse(sum, pool) => {
                if let Some(from) = from {
                    to.assign(from);
                }
                let slices = sum.into_value();
                let gradient =
                    SparseGradient { indices: &slices.indices, rows: slices.values.view() };
                self.optimizer.apply_sparse(name, to.view_mut(), gradient)?;
                if self.is_not_finite() {
                    return Err(Failed::NotFinite(None));
                }
                if self.observe {
                    return Ok(Some(Gradient::Sparse(slices)));
                }
                pool.give(slices.values);
                Ok(None)
            }
        }
    }

    fn is_not_finite(&self) -> bool {
        self.finite_only && !self.optimizer.is_finite()
    }

    /// Keeps the average to be looked at (P-10); the buffers of the one before are free again
    /// unless somebody looks at it.
    fn observed(&mut self, shared: &Shared<T>, average: Gradients<T>) {
        let before = self.last_average.replace(Arc::new(average));
        let Some(before) = before.and_then(Arc::into_inner) else { return };
        let index_of = |name: &str| shared.layout.index_of(name);
        let pairs = before.into_pairs().into_iter();
        shared
            .buffers
            .take_back(pairs.filter_map(|(name, gradient)| Some((index_of(&name)?, gradient))));
    }

    /// once per global step, after the tokens.
    fn average(&mut self, variables: &Variables<T>) -> Result<(), UpdateError> {
        let Some(averages) = &mut self.averages else { return Ok(()) };
        for (name, array) in variables.iter() {
            if averages.average(name).is_some() {
                averages
                    .apply(name, array.view(), None)
                    .map_err(|source| UpdateError::Average { name: name.to_owned(), source })?;
            }
        }
        Ok(())
    }
}
