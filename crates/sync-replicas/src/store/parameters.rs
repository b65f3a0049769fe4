//! Variables' updates: the optimizer with its slots, the averages, the tables, and the reused
//! arrays.
//!
//! The arrays themselves belong to the caller, who decides what a reader sees. Invariant: an array
//! that a reader holds is not written; its next values go to another one.

use std::sync::Arc;

use accum_core::{BufferPool, GlobalStep, IndexedSlices};
use embedding_table::{Rows, StoreError, Table};
use engine::ReplicaId;
use ndarray::ArrayD;
use optim::{ExponentialMovingAverage, OptimizerState, SparseGradient, StateMap};

use super::error::{TableSetupError, UpdateError};
use super::not_finite::{Cause, NotFinite, not_finite_in};
use super::restore_error::RestoreError;
use super::spares::SpareArrays;
use super::sums::{MeanGradient, VariableSum};
use super::tables::{Tables, Version};
use crate::cores::on_all_cores;
use crate::{Gradient, Gradients, Scalar, Variables};

/// The optimizer and the averages of some variables, and how they are updated.
#[derive(Debug)]
pub struct ParameterStore<T: Scalar> {
    optimizer: OptimizerState<T>,
    averages: Option<ExponentialMovingAverage<T>>,
    tables: Arc<Tables<T>>,
    /// Whether to refuse an update that is not finite.
    // P-25
    finite_only: bool,
    /// Whether to return the averaged gradients.
    // P-10
    observe: bool,
    /// Where the next values go while a reader holds the newest ones.
    spares: SpareArrays<T>,
}

/// Why one variable's update failed.
enum Failed {
    Optimizer(optim::ApplyError),
    Table(StoreError),
    /// The keys of the gradients that are not finite; `None` where they cannot be told apart.
    NotFinite(Option<Vec<u64>>),
}

impl From<optim::ApplyError> for Failed {
    fn from(error: optim::ApplyError) -> Self {
        Self::Optimizer(error)
    }
}

impl<T: Scalar> ParameterStore<T> {
    /// A store of the optimizer's variables and of these tables. Up to `spares` arrays of each
    /// variable are kept for when a reader holds others.
    ///
    /// # Errors
    /// [`TableSetupError`]: a table that is invalid, or that the optimizer cannot update.
    pub fn new(
        optimizer: OptimizerState<T>,
        tables: &[Table],
        averages: Option<ExponentialMovingAverage<T>>,
        finite_only: bool,
        spares: usize,
    ) -> Result<Self, TableSetupError> {
        let tables = Arc::new(Tables::new(tables, &optimizer)?);
        let (optimizer, spares) = (on_all_cores(optimizer), SpareArrays::new(spares));
        Ok(Self { optimizer, averages, tables, finite_only, observe: false, spares })
    }

    /// Whether updates return the averaged gradients.
    // P-10
    #[must_use]
    pub fn observing(self, observe: bool) -> Self {
        Self { observe, ..self }
    }

    /// Whether it does.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.observe
    }

    /// The optimizer with the slots.
    #[must_use]
    pub fn optimizer(&self) -> &OptimizerState<T> {
        &self.optimizer
    }

    /// The tables, for shared lookups and saves.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables<T>> {
        &self.tables
    }

    /// The moving averages, if they are kept.
    #[must_use]
    pub fn averages(&self) -> Option<&ExponentialMovingAverage<T>> {
        self.averages.as_ref()
    }

    /// Averages and applies the sums taken of each variable, tables after arrays; returns the
    /// averages, if they are observed. `contributors` are the step's replicas, by their keys.
    ///
    /// # Errors
    /// [`UpdateError`], after which variables and slots are no longer of one step.
    pub fn update(
        &mut self,
        variables: &mut Variables<T>,
        sums: impl IntoIterator<Item = (usize, VariableSum<T>)>,
        step: GlobalStep,
        contributors: &[(u64, ReplicaId)],
    ) -> Result<Gradients<T>, UpdateError> {
        let mut averages = Gradients::new();
        let tables = Arc::clone(&self.tables);
        for (index, sum) in sums {
            let table = index.checked_sub(variables.len());
            let (name, average) = match table {
                None => {
                    let (name, array) = variables.named_mut(index);
                    (name, self.update_variable(index, name, array, sum))
                }
                Some(table) => {
                    let average = self.update_table(&tables, table, step, sum);
                    (tables.declared()[table].name(), average)
                }
            };
            let average = average.map_err(|failed| match failed {
                Failed::Table(source) => UpdateError::Table { step, source },
                Failed::Optimizer(source) => {
                    UpdateError::Optimizer { name: name.to_owned(), step, source }
                }
                Failed::NotFinite(found) => {
                    let cause = Cause::of(contributors, found.as_deref());
                    NotFinite { variable: name.to_owned(), step, cause }.into()
                }
            })?;
            if let Some(average) = average {
                averages = averages.with(name.to_owned(), average);
            }
        }
        Ok(averages)
    }

    /// All variables of a step are updated, which makes this version.
    pub fn finish_step(&mut self, version: Version) {
        self.optimizer.finish_step();
        self.tables.finish_step(version);
    }

    /// The averages move: once per global step.
    ///
    /// # Errors
    /// [`UpdateError::Average`].
    //
    pub fn average(&mut self, variables: &Variables<T>) -> Result<(), UpdateError> {
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

    /// Whether a saved state is of the same optimizer, and has averages if this store keeps them.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn check_saved(&self, optimizer: &str, averages: bool) -> Result<(), RestoreError> {
        let (name, here) = (self.optimizer.optimizer().name(), self.averages.is_some());
        if optimizer != name {
            return Err(RestoreError::OtherOptimizer { here: name, there: optimizer.to_owned() });
        }
        if averages != here {
            return Err(RestoreError::Averages { here });
        }
        Ok(())
    }

    /// Takes a saved optimizer and averages over, all or nothing.
    ///
    /// # Errors
    /// [`RestoreError`] says what does not fit.
    pub fn restore(
        &mut self,
        optimizer: &str,
        state: &StateMap<'_, T>,
        averages: Option<&StateMap<'_, T>>,
    ) -> Result<(), RestoreError> {
        self.check_saved(optimizer, averages.is_some())?;
        let mut restored = self.averages.clone();
        if let Some((restored, saved)) = restored.as_mut().zip(averages) {
            restored.restore(saved).map_err(RestoreError::AverageState)?;
        }
        self.restore_optimizer(state)?;
        self.averages = restored;
        Ok(())
    }

    /// The same for the slots alone, of the same optimizer.
    pub(crate) fn restore_optimizer(
        &mut self,
        state: &StateMap<'_, T>,
    ) -> Result<(), RestoreError> {
        let name = self.optimizer.optimizer().name();
        let restored = self.optimizer.restore(state);
        restored.map_err(|reason| RestoreError::OptimizerState { name, reason })
    }

    /// Averages and applies one variable's gradients; returns the average, if it is observed.
    fn update_variable(
        &mut self,
        index: usize,
        name: &str,
        variable: &mut Arc<ArrayD<T>>,
        sum: VariableSum<T>,
    ) -> Result<Option<Gradient<T>>, Failed> {
        if let Some(variable) = Arc::get_mut(variable) {
            return self.write(name, None, variable, sum);
        }
        // A reader holds it, so the next values go to another array.
        let mut next = self.spares.take(index, variable);
        let average = self.write(name, Some(variable), &mut next, sum)?;
        self.spares.keep(index, std::mem::replace(variable, Arc::new(next)));
        Ok(average)
    }

    /// Writes a variable's next values, from its old ones if these are elsewhere.
    fn write(
        &mut self,
        name: &str,
        from: Option<&ArrayD<T>>,
        to: &mut ArrayD<T>,
        sum: VariableSum<T>,
    ) -> Result<Option<Gradient<T>>, Failed> {
        match sum {
            VariableSum::Dense(mut sum, pool) => {
                // Each gradient is read once, inside the optimizer's own pass.
                let mean = MeanGradient(sum.reader());
                match from {
                    Some(from) => {
                        self.optimizer.apply_dense_from(name, from.view(), to.view_mut(), &mean)?;
                    }
                    None => self.optimizer.apply_dense(name, to.view_mut(), &mean)?,
                }
                if self.is_not_finite() {
                    return Err(Failed::NotFinite(not_finite_in(&sum)));
                }
                if self.observe {
                    return Ok(Some(Gradient::Dense(sum.into_value())));
                }
                if let Some(pool) = pool {
                    pool.give(sum.into_sum().0);
                }
                Ok(None)
            }
            VariableSum::Sparse(sum, pool) => {
                if let Some(from) = from {
                    to.assign(from);
                }
                let slices = sum.into_value();
                let gradient =
                    SparseGradient { indices: &slices.indices, rows: slices.values.view() };
                self.optimizer.apply_sparse(name, to.view_mut(), gradient)?;
                self.applied(slices, &pool)
            }
        }
    }

    /// Averages and applies one table's gradients; returns the average, if it is observed.
    fn update_table(
        &mut self,
        tables: &Tables<T>,
        table: usize,
        step: GlobalStep,
        sum: VariableSum<T>,
    ) -> Result<Option<Gradient<T>>, Failed> {
        let VariableSum::Sparse(sum, pool) = sum else { return Ok(None) };
        let (slices, counts) = sum.into_counted();
        let gradients = slices.values.as_slice().unwrap_or_default();
        let rows = Rows { keys: &slices.indices, counts: &counts, gradients };
        let made = step.next().unwrap_or(step);
        tables.update(table, made, &rows, &mut self.optimizer).map_err(Failed::Table)?;
        self.applied(slices, &pool)
    }

    /// What becomes of rows that were applied: they are observed, or their memory is free again.
    fn applied(
        &self,
        slices: IndexedSlices<T>,
        pool: &BufferPool<T>,
    ) -> Result<Option<Gradient<T>>, Failed> {
        if self.is_not_finite() {
            return Err(Failed::NotFinite(None));
        }
        if self.observe {
            return Ok(Some(Gradient::Sparse(slices)));
        }
        pool.give(slices.values);
        Ok(None)
    }

    fn is_not_finite(&self) -> bool {
        self.finite_only && !self.optimizer.is_finite()
    }
}
