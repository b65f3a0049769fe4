//! The chief's step: mean, update, global step, tokens, averages, in that order.
//!
//! Whoever closes a step acts as the chief, holding its lock; there is no thread to hand over to.

use std::sync::Arc;

use accum_core::GlobalStep;
use hooks::StepReport;
use ndarray::ArrayD;
use optim::{ExponentialMovingAverage, OptimizerState, SparseGradient};

use super::core::Closing;
use super::retired::Retired;
use super::shared::Shared;
use super::snapshot::Snapshot;
use super::sums::{Averaged, VariableSum};
use crate::checkpoint::TrainingState;
use crate::{Gradient, Gradients, Scalar, Variables};

/// What only the chief touches: the optimizer and the averages.
#[derive(Debug)]
pub(crate) struct Chief<T: Scalar> {
    pub(crate) optimizer: OptimizerState<T>,
    pub(crate) averages: Option<ExponentialMovingAverage<T>>,
    /// Readers wait for an update that nobody read before.
    pub(crate) use_locking: bool,
    /// Whether the last averaged gradient is kept to be looked at (P-10).
    pub(crate) observe: bool,
    pub(crate) last_average: Option<Arc<Gradients<T>>>,
    open: OpenStep<T>,
    /// Where the next values go while somebody reads the newest ones.
    retired: Retired<T>,
}

/// What is known of a step whose lanes are not all applied yet; with one lane it lives within one
/// call.
#[derive(Debug)]
struct OpenStep<T> {
    lanes_applied: usize,
    loss: Option<f64>,
    examples: u64,
    averages: Gradients<T>,
}

impl<T> Default for OpenStep<T> {
    fn default() -> Self {
        Self { lanes_applied: 0, loss: None, examples: 0, averages: Gradients::new() }
    }
}

/// Why an update failed; the step was not counted and training ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The optimizer refused a gradient.
    #[error("the update of variable `{name}` at step {step} failed")]
    Optimizer {
        /// The variable.
        name: String,
        /// The step that was to be applied.
        step: GlobalStep,
        /// Why.
        #[source]
        source: optim::ApplyError,
    },
    /// The averages do not fit the variables.
    #[error("the moving average of variable `{name}` failed")]
    Average {
        /// The variable.
        name: String,
        /// Why.
        #[source]
        source: optim::MovingAverageError,
    },
}

impl<T: Scalar> Chief<T> {
    pub(crate) fn new(
        optimizer: OptimizerState<T>,
        averages: Option<ExponentialMovingAverage<T>>,
        use_locking: bool,
        observe: bool,
        readers: usize,
    ) -> Self {
        Self {
            optimizer,
            averages,
            use_locking,
            observe,
            last_average: None,
            open: OpenStep::default(),
            retired: Retired::new(readers),
        }
    }

    /// Forgets a half-done step of an earlier life.
    pub(crate) fn clear(&mut self) {
        self.open = OpenStep::default();
        self.last_average = None;
    }

    /// Whether the next lane to be applied is the last one of its step.
    pub(crate) fn completes_step(&self, lanes: usize) -> bool {
        self.open.lanes_applied + 1 == lanes
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
        Ok(())
    }

    /// Applies one lane's gradients; the report is there once the step moved.
    pub(crate) fn apply(
        &mut self,
        shared: &Shared<T>,
        closing: Closing<T>,
    ) -> Result<Option<StepReport>, UpdateError> {
        if closing.generation != shared.published().generation {
            // A restore came between the close and this lock (P-9).
            return Ok(None);
        }
        let (lane, count) = (closing.lane, closing.count);
        let last = self.completes_step(closing.lanes);
        self.publish(shared, closing, last)?;
        self.open.lanes_applied += 1;
        // The step, then the tokens; whoever waits goes on from here.
        let moved = shared.applied(lane);
        let Some(step) = moved.filter(|_| last) else { return Ok(None) };
        let done = std::mem::take(&mut self.open);
        if self.observe {
            self.observed(shared, done.averages);
        }
        if self.averages.is_some() {
            self.average(&shared.snapshot().variables, step)?;
        }
        let mut report = StepReport::new(step.get())
            .with_scalar("gradients", count as f64)
            .with_scalar("examples", done.examples as f64);
        report.loss = done.loss;
        Ok(Some(report))
    }

    /// Updates in place what nobody reads; otherwise beside it, and readers never wait.
    fn publish(
        &mut self,
        shared: &Shared<T>,
        closing: Closing<T>,
        last: bool,
    ) -> Result<(), UpdateError> {
        let mut published = shared.published();
        if let Some(snapshot) = Arc::get_mut(&mut published).filter(|_| self.use_locking) {
            return self.update(snapshot, closing, last);
        }
        let mut next = Snapshot::clone(&published);
        drop(published);
        self.update(&mut next, closing, last)?;
        *shared.published() = Arc::new(next);
        Ok(())
    }

    fn update(
        &mut self,
        snapshot: &mut Snapshot<T>,
        closing: Closing<T>,
        last: bool,
    ) -> Result<(), UpdateError> {
        let step = snapshot.global_step;
        // Losses are kept with the first lane, which every contribution to a step has.
        self.open.loss = self.open.loss.or(closing.loss);
        self.open.examples += closing.examples;
        for (index, sum) in closing.sums {
            let (name, array) = snapshot.variables.named_mut(index);
            let average = self
                .update_variable((index, name), array, sum)
                .map_err(|source| UpdateError::Optimizer { name: name.to_owned(), step, source })?;
            if let Some(average) = average {
                let averages = std::mem::take(&mut self.open.averages);
                self.open.averages = averages.with(name.to_owned(), average);
            }
        }
        if last {
            self.optimizer.finish_step();
            snapshot.global_step = step.next().unwrap_or(step);
        }
        Ok(())
    }

    /// Averages and applies one variable's gradients; the average, if it is to be looked at.
    fn update_variable(
        &mut self,
        (index, name): (usize, &str),
        variable: &mut Arc<ArrayD<T>>,
        sum: VariableSum<T>,
    ) -> Result<Option<Gradient<T>>, optim::ApplyError> {
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
    ) -> Result<Option<Gradient<T>>, optim::ApplyError> {
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
                if self.observe {
                    return Ok(Some(Gradient::Sparse(slices)));
                }
                pool.give(slices.values);
                Ok(None)
            }
        }
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
    fn average(&mut self, variables: &Variables<T>, step: GlobalStep) -> Result<(), UpdateError> {
        let Some(averages) = &mut self.averages else { return Ok(()) };
        for (name, array) in variables.iter() {
            if averages.average(name).is_some() {
                averages
                    .apply(name, array.view(), None)
                    .map_err(|source| UpdateError::Average { name: name.to_owned(), source })?;
            }
        }
        tracing::trace!(%step, "averages updated");
        Ok(())
    }
}
