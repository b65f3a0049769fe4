//! The chief's step: mean, update, global step, tokens, averages, in that order.
//!
//! The thread that closes a step acts as the chief, holding its lock; it hands over to no other.

use std::sync::Arc;

use accum_core::GlobalStep;
use hooks::StepReport;
use ndarray::ArrayD;
use optim::{StateMap, StateValue};

use super::shared::Shared;
use super::shared::core::ClosedStep;
use crate::checkpoint::{RunId, Tested, TrainingState};
use crate::failure::describe;
use crate::hook_host::TrainingView;
use crate::record::{UpdateMade, UpdateSpan};
use crate::store::{ParameterStore, RestoreError, Snapshot, Torn, UpdateError};
use crate::{Gradients, Scalar, Variables};

/// What only the chief touches: the optimizer and the averages.
#[derive(Debug)]
pub(crate) struct Chief<T: Scalar> {
    /// The run of its checkpoints.
    // P-24
    pub(crate) run: RunId,
    pub(crate) store: ParameterStore<T>,
    /// Readers wait for an update of what had no reader before.
    //
    use_locking: bool,
    /// The last averaged gradient, if kept.
    // P-10
    pub(crate) last_average: Option<Arc<Gradients<T>>>,
    /// What the losses tell of the variables' steps.
    pub(crate) tested: Tested,
    condition: Condition,
    half: Option<Half<T>>,
}

/// A step of which only some lanes are applied, where each variable is admitted by itself: readers
/// see it as it is, checkpoints and new generations do not.
// P-11
#[derive(Debug)]
struct Half<T: Scalar> {
    /// The variables before the first of them.
    before: Arc<Snapshot<T>>,
    /// The slots before, by name.
    slots: Vec<(String, ArrayD<T>)>,
    averages: Gradients<T>,
}

/// Whether variables, slots and averages are of one step.
// P-11
#[derive(Debug)]
enum Condition {
    Whole,
    /// The update of this step is under way; a panic leaves this state behind.
    Updating(GlobalStep),
    /// An update failed, in these words; only a restore helps.
    Torn(String),
}

impl<T: Scalar> Chief<T> {
    pub(crate) fn new(store: ParameterStore<T>, use_locking: bool, run: RunId) -> Self {
        Self {
            run,
            store,
            use_locking,
            last_average: None,
            tested: Tested::default(),
            condition: Condition::Whole,
            half: None,
        }
    }

    /// Forgets the state of an earlier life, including a half-made step: returns the variables
    /// before it, if there is one.
    pub(crate) fn clear(&mut self) -> Option<Variables<T>> {
        self.last_average = None;
        self.half.as_ref()?;
        let state = self.optimizer_state();
        let half = self.half.take()?;
        if let Err(error) = self.store.restore_optimizer(&state) {
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
        let state = self.store.optimizer().state().into_iter();
        let mut state: StateMap<'static, T> =
            state.map(|(name, value)| (name, value.into_owned())).collect();
        for (name, slot) in self.half.iter().flat_map(|half| &half.slots) {
            state.insert(name.clone(), StateValue::Tensor(slot.clone().into()));
        }
        state
    }

    /// Whether all of its state is of one step.
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

    /// Takes a saved optimizer and averages over, all or nothing.
    pub(crate) fn restore(&mut self, state: &TrainingState<T>) -> Result<(), RestoreError> {
        let TrainingState { optimizer, optimizer_state, averages, .. } = state;
        self.store.restore(optimizer, optimizer_state, averages.as_ref())?;
        self.tested = Tested::default();
        self.half = None;
        self.condition = Condition::Whole;
        Ok(())
    }

    /// Updates the variables of lanes that closed; the report is there once the step is made.
    pub(crate) fn apply(
        &mut self,
        shared: &Shared<T>,
        closing: ClosedStep<T>,
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
        let (last, examples) = (closing.is_last(), closing.round.examples());
        let mut report = StepReport::new(step.get().saturating_add(1))
            .with_scalar("gradients", closing.count as f64)
            .with_scalar("examples", examples as f64);
        if last {
            report.loss = closing.round.mean_loss();
            if let Some(finite) = closing.round.finite_loss() {
                // The batches were computed from the variables before the update.
                self.tested.loss(step.get(), finite);
            }
        }
        self.condition = Condition::Updating(step);
        let start = shared.record.as_ref().map(|_| shared.now());
        let made = self.make(shared, closing);
        self.condition = match &made {
            Ok(()) => Condition::Whole,
            Err(error) => Condition::Torn(describe(error)),
        };
        made?;
        if let Some((record, start)) = shared.record.as_ref().zip(start) {
            let (step, loss, end) = (report.global_step, report.loss, shared.now());
            record.add_update_span(UpdateSpan { server: 0, step, start, end });
            if last {
                record.add_update(UpdateMade { step, loss, examples, at: end });
            }
        }
        Ok(last.then_some(report))
    }

    /// variables, global step, tokens, averages. A stop in between changes nothing
    /// about it.
    fn make(&mut self, shared: &Shared<T>, mut closing: ClosedStep<T>) -> Result<(), UpdateError> {
        let lanes = closing.lanes.take();
        if lanes.is_some() {
            self.keep_before(shared, &closing);
        }
        let last = lanes.is_none();
        let mut average = self.publish(shared, closing, last)?;
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
        // The step, then the tokens; the replicas that wait go on from here.
        shared.updated(None);
        if self.store.observes() {
            self.observed(shared, average);
        }
        if self.store.averages().is_some() {
            self.store.average(&shared.snapshot().variables)?;
        }
        Ok(())
    }

    /// Keeps what lanes that do not complete the step are about to change.
    fn keep_before(&mut self, shared: &Shared<T>, closing: &ClosedStep<T>) {
        let names = closing.sums.iter().map(|(index, _)| shared.layout.name(*index));
        let mut slots = Vec::new();
        for name in names {
            for slot in self.store.optimizer().slot_names() {
                let value = self.store.optimizer().slot(name, slot).map(|slot| slot.to_owned());
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

    /// Updates in place what has no reader; otherwise beside it, and readers never wait. Returns
    /// the averages, if hooks read them.
    //
    fn publish(
        &mut self,
        shared: &Shared<T>,
        closing: ClosedStep<T>,
        last: bool,
    ) -> Result<Gradients<T>, UpdateError> {
        let mut published = shared.published();
        if let Some(snapshot) = Arc::get_mut(&mut published).filter(|_| self.use_locking) {
            return shared.updating(|| self.update(snapshot, closing, last));
        }
        let mut next = Snapshot::clone(&published);
        drop(published);
        let averages = shared.updating(|| self.update(&mut next, closing, last))?;
        *shared.published() = Arc::new(next);
        Ok(averages)
    }

    fn update(
        &mut self,
        snapshot: &mut Snapshot<T>,
        closing: ClosedStep<T>,
        last: bool,
    ) -> Result<Gradients<T>, UpdateError> {
        let (step, contributors) = (snapshot.global_step, closing.round.contributors());
        let variables = &mut snapshot.variables;
        let averages = self.store.update(variables, closing.sums, step, contributors)?;
        if last {
            snapshot.global_step = step.next().unwrap_or(step);
            self.store.finish_step((snapshot.generation, snapshot.global_step));
        }
        Ok(averages)
    }

    /// Keeps the average for readers; the buffers of the one before are free again unless a reader
    /// still holds it.
    // P-10
    fn observed(&mut self, shared: &Shared<T>, average: Gradients<T>) {
        let before = self.last_average.replace(Arc::new(average));
        let Some(before) = before.and_then(Arc::into_inner) else { return };
        let index_of = |name: &str| shared.layout.index_of(name);
        let pairs = before.into_pairs().into_iter();
        shared
            .buffers
            .take_back(pairs.filter_map(|(name, gradient)| Some((index_of(&name)?, gradient))));
    }
}
