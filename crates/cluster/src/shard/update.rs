//! The coordinator's orders carried out: admit, apply, begin a generation.
//!
//! Judges nothing. Invariant: a reader's snapshot never changes, and is never part of a step.

use std::sync::Arc;

use accum_core::GlobalStep;
use sync_replicas::driver::Generation;
use sync_replicas::store::{UpdateError, VariableSums};
use sync_replicas::{Scalar, Snapshot, Variables};

use super::{Contribution, Shard, ShardError};
use crate::index::VariableIndex;

impl<T: Scalar> Shard<T> {
    /// Moves a staged contribution into the sums of these variables, or of all of them. What the
    /// replica staged earlier is forgotten.
    ///
    /// # Errors
    /// [`ShardError::NotStaged`], and [`ShardError::Kind`] for one that was staged before the kinds
    /// were known. Nothing is added then.
    pub fn admit(
        &mut self,
        contribution: Contribution,
        key: u64,
        variables: Option<&[VariableIndex]>,
    ) -> Result<(), ShardError> {
        let kinds = self.staging.kinds(contribution);
        let kinds = kinds.ok_or(ShardError::NotStaged { contribution })?;
        let kinds = || kinds.iter().copied();
        self.check_kinds(kinds()).map_err(|source| ShardError::Kind { contribution, source })?;
        for (part, kind) in self.spec.fix(kinds()) {
            let (section, pool) = (&self.sections[part], self.staging.pool(part));
            let options = self.settings.sums();
            self.sums[part] = match &section.keys {
                None => VariableSums::new(kind, &section.shape, options, Some(pool)),
                Some(share) => Some(VariableSums::of_table(share.table.width(), options)),
            };
        }
        self.contributors.push((key, contribution.replica));
        let gradients = self.staging.take(contribution).unwrap_or_default();
        let mut added = Ok(());
        for (part, gradient) in gradients {
            let variable = self.sections[part].variable;
            if variables.is_none_or(|took| took.contains(&variable))
                && let Some(sums) = &mut self.sums[part]
                && let Err(source) = sums.add(gradient, key, Some(self.staging.pool(part)))
            {
                added = Err(ShardError::Sum { name: self.sections[part].name.clone(), source });
            }
        }
        added
    }

    /// Takes a variable's gradients (`None`: those of all), and updates its parts with their mean;
    /// with `last` the step is made, and a snapshot of `global_step` is published.
    ///
    /// Values are written elsewhere if a reader still holds them, or if further variables are to
    /// follow in the step.
    ///
    /// # Errors
    /// [`ShardError::Generation`], which changes nothing; [`ShardError::Update`], even for a mean
    /// or a result that is not finite, unless that was allowed (P-25). After that nothing is
    /// published, and training cannot go on: the shard [is not whole](Self::is_whole).
    pub fn apply(
        &mut self,
        variable: Option<VariableIndex>,
        last: bool,
        global_step: GlobalStep,
        generation: Generation,
    ) -> Result<(), ShardError> {
        let expected = self.published.generation;
        if generation != expected {
            return Err(ShardError::Generation { expected, got: generation });
        }
        // Until it is known that it is.
        let whole = std::mem::replace(&mut self.whole, false);
        self.apply_variable(variable, last, global_step, generation)?;
        self.whole = whole;
        Ok(())
    }

    fn apply_variable(
        &mut self,
        variable: Option<VariableIndex>,
        last: bool,
        global_step: GlobalStep,
        generation: Generation,
    ) -> Result<(), ShardError> {
        match self.open.take() {
            None if last => {
                // A reader's snapshot is left to it; values without a reader are written in place.
                let mut published = std::mem::replace(&mut self.published, Arc::new(no_parts()));
                let snapshot = Arc::make_mut(&mut published);
                let updated = self.update(&mut snapshot.variables, variable, snapshot.global_step);
                if updated.is_ok() {
                    snapshot.global_step = global_step;
                }
                self.published = published;
                updated?;
            }
            open => {
                let step = self.published.global_step;
                let mut variables = open.unwrap_or_else(|| self.published.variables.clone());
                self.update(&mut variables, variable, step)?;
                if last {
                    self.published = Arc::new(Snapshot { generation, global_step, variables });
                } else {
                    self.open = Some(variables);
                }
            }
        }
        if last {
            self.contributors.clear();
            self.store.finish_step((generation, global_step));
            self.store.average(&self.published.variables)?;
        }
        Ok(())
    }

    /// Begins another life of the shared state (P-9), at this step: gradients of the earlier one
    /// are forgotten, values stay.
    pub fn begin_generation(&mut self, generation: Generation, global_step: GlobalStep) {
        self.forget_gradients();
        let variables = self.published.variables.clone();
        self.published = Arc::new(Snapshot { generation, global_step, variables });
        self.store.tables().begin((generation, global_step));
    }

    /// Forgets what is staged, summed or half applied.
    pub(super) fn forget_gradients(&mut self) {
        self.staging.clear();
        self.sums.iter_mut().flatten().for_each(VariableSums::clear);
        self.contributors.clear();
        self.open = None;
    }

    fn update(
        &mut self,
        variables: &mut Variables<T>,
        variable: Option<VariableIndex>,
        step: GlobalStep,
    ) -> Result<(), UpdateError> {
        let parts = self.sections.iter().zip(&mut self.sums).enumerate();
        let closing = parts.filter(|(_, (part, _))| variable.is_none_or(|it| it == part.variable));
        let sums: Vec<_> = closing
            .filter_map(|(position, (_, sums))| Some((position, sums.as_mut()?.drain(step)?)))
            .collect();
        let updated = self.store.update(variables, sums, step, &self.contributors);
        updated.map(drop).map_err(|error| match error {
            UpdateError::NotFinite(mut found) => {
                let part = self.sections.iter().find(|part| part.name == found.variable);
                found.variable = part.map_or(found.variable, |it| it.variable_name().to_owned());
                found.into()
            }
            error => error,
        })
    }
}

fn no_parts<T: Clone>() -> Snapshot<T> {
    let (generation, global_step) = (Generation::default(), GlobalStep::default());
    Snapshot { generation, global_step, variables: Variables::new() }
}
