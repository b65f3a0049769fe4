//! The coordinator's orders carried out: admit, apply, begin a generation.
//!
//! Judges nothing. Invariant: a reader's snapshot never changes, and is never part of a step.

use std::sync::Arc;

use accum_core::GlobalStep;
use ndarray::ArrayD;
use sync_replicas::engine::{Admission, NonFinite};
use sync_replicas::{Cause, Generation, Kind, NotFinite, Scalar};

use super::sums::PartSums;
use super::{Contribution, Shard, ShardError, Snapshot};

impl<T: Scalar> Shard<T> {
    /// Moves a staged contribution into the sums of these lanes, or of all of them.
    ///
    /// Lane 0 is all variables when they are admitted together; otherwise a variable's lane is its
    /// place in the order of variables. What the replica staged earlier is forgotten.
    ///
    /// # Errors
    /// [`ShardError::NotStaged`], and [`ShardError::Kind`] for one that was staged before the kinds
    /// were known. Nothing is added then.
    pub fn admit(
        &mut self,
        contribution: Contribution,
        key: u64,
        lanes: Option<&[usize]>,
    ) -> Result<(), ShardError> {
        let kinds = self.staging.kinds(contribution);
        let kinds = kinds.ok_or(ShardError::NotStaged { contribution })?;
        let mut sums = match self.sums.take() {
            Some(sums) => {
                if let Some((part, expected, got)) = self.misfit(&sums, kinds.iter().copied()) {
                    let name = self.parts[part].name.clone();
                    self.sums = Some(sums);
                    return Err(ShardError::Kind { contribution, name, expected, got });
                }
                sums
            }
            None => self.parts.iter().map(|_| PartSums::Missing).collect(),
        };
        // What fits and is there no sum for has a gradient here for the first time.
        for (part, kind) in kinds {
            if sums[part].kind() == Kind::Missing {
                sums[part] = PartSums::new(kind, &self.parts[part].shape, &self.settings);
            }
        }
        self.contributors.push((key, contribution.replica));
        let gradients = self.staging.take(contribution).unwrap_or_default();
        let mut added = Ok(());
        for (part, gradient) in gradients {
            let lane = self.lane(part);
            if lanes.is_none_or(|lanes| lanes.contains(&lane))
                && let Err(source) = sums[part].add(gradient, key, self.staging.pool(part))
            {
                added = Err(ShardError::Sum { name: self.parts[part].name.clone(), source });
            }
        }
        self.sums = Some(sums);
        added
    }

    /// Takes a lane's gradients, and updates its parts with their mean; with `last` the step is
    /// made, and a snapshot of `global_step` is published.
    ///
    /// Values are copied first if a reader still holds them, or if the step has further lanes.
    ///
    /// # Errors
    /// [`ShardError::Generation`], which changes nothing; [`ShardError::Optimizer`],
    /// [`ShardError::Average`] and, for a mean or a result that is not finite, unless that was
    /// allowed, [`ShardError::NotFinite`] (P-25). After those nothing is published, and training
    /// cannot go on: the shard [is not whole](Self::is_whole).
    pub fn apply(
        &mut self,
        lane: usize,
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
        self.apply_lane(lane, last, (global_step, generation))?;
        self.whole = whole;
        Ok(())
    }

    fn apply_lane(
        &mut self,
        lane: usize,
        last: bool,
        (global_step, generation): (GlobalStep, Generation),
    ) -> Result<(), ShardError> {
        let step = self.published.global_step;
        let together = self.settings.admission == Admission::Together;
        match self.open.take() {
            None if last => {
                // A reader's snapshot is left to it; what nobody reads is written in place.
                let mut published = std::mem::replace(&mut self.published, Arc::new(no_parts()));
                let snapshot = Arc::make_mut(&mut published);
                let updated = self.update(&mut snapshot.parts, (lane, together), step);
                if updated.is_ok() {
                    snapshot.global_step = global_step;
                }
                self.published = published;
                updated?;
            }
            open => {
                let mut parts = open.unwrap_or_else(|| self.published.parts.clone());
                self.update(&mut parts, (lane, together), step)?;
                if last {
                    self.published = Arc::new(Snapshot { generation, global_step, parts });
                } else {
                    self.open = Some(parts);
                }
            }
        }
        if last { self.finish() } else { Ok(()) }
    }

    /// Begins another life of the shared state (P-9), at this step: gradients of the earlier one
    /// are forgotten, values stay.
    pub fn begin_generation(&mut self, generation: Generation, global_step: GlobalStep) {
        self.forget_gradients();
        let parts = self.published.parts.clone();
        self.published = Arc::new(Snapshot { generation, global_step, parts });
    }

    /// Forgets what is staged, summed or half applied.
    pub(super) fn forget_gradients(&mut self) {
        self.staging.clear();
        self.sums.iter_mut().flatten().for_each(PartSums::clear);
        self.contributors.clear();
        self.open = None;
    }

    fn lane(&self, part: usize) -> usize {
        match self.settings.admission {
            Admission::Together => 0,
            Admission::PerVariable => self.parts[part].variable,
        }
    }

    fn update(
        &mut self,
        values: &mut [Arc<ArrayD<T>>],
        (lane, together): (usize, bool),
        step: GlobalStep,
    ) -> Result<(), ShardError> {
        let finite_only = self.settings.non_finite != NonFinite::Allow;
        let sums = self.sums.iter_mut().flatten();
        let parts = self.parts.iter().enumerate();
        for (((position, part), sums), value) in parts.zip(sums).zip(values) {
            // Nothing is copied for a variable that passes through untouched.
            if sums.is_empty() || !(together || part.variable == lane) {
                continue;
            }
            let variable = Arc::make_mut(value).view_mut();
            // In order each gradient is kept by itself, and goes back by itself.
            let pool = (!self.settings.ordered).then(|| self.staging.pool(position));
            let applied = sums.apply(step, &mut self.optimizer, (&part.name, variable), pool);
            let applied = applied.map_err(|source| ShardError::Optimizer {
                name: part.name.clone(),
                step,
                source,
            })?;
            if finite_only && !self.optimizer.is_finite() {
                let cause = Cause::of(&self.contributors, applied.as_deref());
                let variable = part.variable_name().to_owned();
                return Err(NotFinite { variable, step, cause }.into());
            }
        }
        Ok(())
    }

    /// The end of a step: the optimizer counts it, then the averages move.
    fn finish(&mut self) -> Result<(), ShardError> {
        self.contributors.clear();
        self.optimizer.finish_step();
        let Some(averages) = &mut self.averages else { return Ok(()) };
        for (part, value) in self.parts.iter().zip(&self.published.parts) {
            if averages.average(&part.name).is_some() {
                averages.apply(&part.name, value.view(), None)?;
            }
        }
        Ok(())
    }
}

fn no_parts<T>() -> Snapshot<T> {
    Snapshot {
        generation: Generation::default(),
        global_step: GlobalStep::default(),
        parts: Vec::new(),
    }
}
