//! A run's state as a whole: taken out for a checkpoint, put back for a restore, begun anew.
//!
//! Invariant: what is taken out is of one step, and whatever an earlier life of the shared state
//! left behind is fenced off by a higher generation (P-9).

use std::task::Waker;

use accum_core::GlobalStep;
use optim::StateMap;

use super::chief::Chief;
use super::core::Totals;
use super::shared::Shared;
use crate::checkpoint::{CheckpointError, TrainingState};
use crate::ids::Generation;
use crate::sync::{Arc, lock};
use crate::{Scalar, Variables};

impl<T: Scalar> Shared<T> {
    /// Everything that a checkpoint holds; of one step, since updates need the chief's lock.
    pub(crate) fn training_state(&self) -> TrainingState<T> {
        let chief = self.chief();
        let snapshot = self.snapshot();
        let owned = |map: StateMap<'_, T>| -> StateMap<'static, T> {
            map.into_iter().map(|(name, value)| (name, value.into_owned())).collect()
        };
        TrainingState {
            global_step: snapshot.global_step,
            generation: snapshot.generation,
            variables: snapshot.variables.clone(),
            optimizer: chief.optimizer.optimizer().name().to_owned(),
            optimizer_state: owned(chief.optimizer.state()),
            averages: chief.averages.as_ref().map(|averages| owned(averages.state())),
            positions: self.core().engine.positions(),
        }
    }

    /// Puts a saved state in place of the present one, all or nothing; no update comes between.
    pub(crate) fn restore(&self, state: TrainingState<T>) -> Result<(), CheckpointError> {
        let mismatch = |what: String| CheckpointError::Mismatch { what };
        self.layout.check(&state.variables).map_err(mismatch)?;
        let mut chief = self.chief();
        chief.restore(&state).map_err(mismatch)?;
        let saved = Some((state.variables, &state.positions[..]));
        self.begin_generation(&mut chief, state.global_step, state.generation, saved);
        Ok(())
    }

    /// What hooks see of a training that is made elsewhere.
    pub(crate) fn mirror(&self, step: GlobalStep, variables: &Variables<T>, totals: Totals) {
        self.core().totals = totals;
        let mut published = self.published();
        let snapshot = Arc::make_mut(&mut published);
        snapshot.global_step = step;
        snapshot.variables = variables.clone();
    }

    /// A new life of the shared state at a step: what an earlier one left is fenced off (P-9).
    pub(crate) fn restart(&self, global_step: GlobalStep) {
        self.begin_generation(&mut self.chief(), global_step, Generation::default(), None);
    }

    /// Its number is above this one's and above `after`. Whoever waits is woken, to be told.
    fn begin_generation(
        &self,
        chief: &mut Chief<T>,
        global_step: GlobalStep,
        after: Generation,
        saved: Option<(Variables<T>, &[u64])>,
    ) {
        let mut core = self.core();
        let lanes = core.engine.num_lanes();
        core.engine.restore(global_step, after, lanes);
        let wakers = core.clear();
        chief.clear();
        lock(&self.due).clear();
        let mut published = self.published();
        let snapshot = Arc::make_mut(&mut published);
        snapshot.global_step = global_step;
        snapshot.generation = core.engine.generation();
        if let Some((variables, positions)) = saved {
            snapshot.variables = variables;
            core.engine.set_positions(positions);
        }
        self.watch.begin(global_step);
        drop((published, core));
        self.watch.wake();
        wakers.into_iter().for_each(Waker::wake);
    }
}
