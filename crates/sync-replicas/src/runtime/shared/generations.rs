//! A run's state as a whole: taken out for a checkpoint, put back for a restore, begun anew.
//!
//! Invariant: the state taken out is of one step, and a higher generation fences off whatever an
//! earlier life of the shared state left behind (P-9).

use std::path::{Path, PathBuf};
use std::task::Waker;
use std::time::Duration;

use accum_core::GlobalStep;
use hooks::RunningHook;
use optim::StateMap;

use super::Shared;
use super::core::Core;
use crate::checkpoint::{
    self, CheckpointError, RowsToSave, SavedTables, TableShare, TrainingState,
};
use crate::record::Saved;
use crate::runtime::chief::Chief;
use crate::runtime::due::Monitor;
use crate::runtime::wake::wake;
use crate::store::Torn;
use crate::sync::{Arc, lock};
use crate::{Scalar, Variables};
use engine::{Effect, Generation, InitialTokens};

/// Why a training cannot begin again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error("{0} replicas take part")]
    Busy(usize),
    #[error(transparent)]
    Torn(#[from] Torn),
    #[error(transparent)]
    Config(#[from] engine::StartError),
}

/// Where a training begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    /// The step to count from.
    pub(crate) step: GlobalStep,
    pub(crate) generation: Generation,
    /// The time of the trainer's clock, which the record also counts from.
    pub(crate) at: Duration,
}

impl<T: Scalar> Shared<T> {
    /// Everything that a checkpoint holds; of one step, since updates need the chief's lock.
    ///
    /// # Errors
    /// [`Torn`].
    pub(crate) fn training_state(&self) -> Result<TrainingState<T>, Torn> {
        self.state_of(&self.chief())
    }

    fn state_of(&self, chief: &Chief<T>) -> Result<TrainingState<T>, Torn> {
        chief.whole()?;
        let snapshot = chief.whole_step(self);
        let owned = |map: StateMap<'_, T>| -> StateMap<'static, T> {
            map.into_iter().map(|(name, value)| (name, value.into_owned())).collect()
        };
        Ok(TrainingState {
            run: Some(chief.run),
            global_step: snapshot.global_step,
            generation: snapshot.generation,
            variables: snapshot.variables.clone(),
            optimizer: chief.store.optimizer().optimizer().name().to_owned(),
            optimizer_state: chief.optimizer_state(),
            averages: chief.store.averages().map(|averages| owned(averages.state())),
            positions: self.core().engine.positions(snapshot.global_step),
            definition: None,
            tables: SavedTables::default(),
        })
    }

    /// Writes a checkpoint of now.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub(crate) fn save(&self, folder: &Path, keep: usize) -> Result<PathBuf, CheckpointError> {
        loop {
            let begun = self.now();
            // Rows are saved while training goes on, and of the same step as the rest.
            let (state, tables) = {
                let chief = self.chief();
                (self.state_of(&chief)?, chief.store.tables().begin_save())
            };
            match checkpoint::write_with_rows(folder, &state, RowsToSave::Own(tables), keep) {
                // A restore came in between, and what came of it has been saved.
                Err(CheckpointError::Replaced { own, .. })
                    if self.core().engine.generation() > own => {}
                written => {
                    if let (Ok(path), Some(record)) = (&written, &self.record) {
                        let (step, at) = (state.global_step.get(), self.now());
                        let (took, bytes) = (at - begun, checkpoint::size_on_disk(path));
                        record.add_save(Saved { step, at, took, bytes });
                    }
                    return written;
                }
            }
        }
    }

    /// Replaces the present state by a saved one, all or nothing, and starts the chief; no update
    /// and no other restore comes between.
    pub(crate) fn restore(
        &self,
        state: TrainingState<T>,
        initial: InitialTokens,
    ) -> Result<(), CheckpointError> {
        self.layout.check(state.variables.layout()).map_err(CheckpointError::mismatch)?;
        let stores = state.tables.load(&self.tables, TableShare::ALL)?;
        let mut chief = self.chief();
        let tokens = self.core().config().initial_tokens(initial);
        tokens.map_err(CheckpointError::mismatch)?;
        chief.restore(&state).map_err(CheckpointError::mismatch)?;
        chief.run = state.run.unwrap_or(chief.run);
        self.tables.replace(stores);
        let TrainingState { global_step, generation, variables, positions, .. } = state;
        // A checkpoint's arrays say nothing of tables.
        let variables = variables.under(&self.layout);
        let wakers = self.event(|core, now, effects| {
            let wakers =
                self.replace(&mut chief, core, global_step, generation, Some(variables), effects);
            if !core.engine.set_positions(&positions) {
                tracing::warn!("{}", engine::INEXACT_POSITIONS);
            }
            // The tokens suffice, as was seen.
            drop(core.engine.start_chief(initial, now, effects));
            wakers
        });
        drop(chief);
        self.tell(wakers);
        Ok(())
    }

    /// Prepares a training of the replicas that join next, with hooks around its updates: a new
    /// generation, unless nothing has happened in this one.
    ///
    /// # Errors
    /// [`BeginError`]; nothing changed.
    pub(crate) fn begin(
        &self,
        initial: InitialTokens,
        hooks: Monitor<T>,
        hook: RunningHook,
    ) -> Result<Begun, BeginError> {
        let mut monitor = lock(&self.monitor);
        let mut chief = self.chief();
        chief.whole()?;
        let (begun, wakers) = self.event(|core, now, effects| {
            let live = core.engine.num_live();
            if live > 0 {
                return Err(BeginError::Busy(live));
            }
            let step = core.engine.global_step();
            let mut wakers = Vec::new();
            if !core.engine.is_fresh() {
                core.config().initial_tokens(initial)?;
                let after = Generation::default();
                wakers = self.replace(&mut chief, core, step, after, None, effects);
                core.engine.start_chief(initial, now, effects)?;
            }
            if let Some(record) = &self.record {
                record.begin(now);
            }
            Ok((Begun { step, generation: core.engine.generation(), at: now }, wakers))
        })?;
        *monitor = Some(hooks);
        *lock(&self.hook) = Some(hook);
        drop((monitor, chief));
        self.tell(wakers);
        Ok(begun)
    }

    /// A new life of the shared state at a step, before its chief has started.
    // P-9
    pub(crate) fn restart(&self, global_step: GlobalStep) {
        let mut chief = self.chief();
        let wakers = self.event(|core, _, effects| {
            self.replace(&mut chief, core, global_step, Generation::default(), None, effects)
        });
        drop(chief);
        self.tell(wakers);
    }

    /// A new life of the shared state: what an earlier one left is fenced off. Its number is above
    /// this one's and above `after`. The caller must tell the waiting replicas.
    // P-9
    fn replace(
        &self,
        chief: &mut Chief<T>,
        core: &mut Core<T>,
        global_step: GlobalStep,
        after: Generation,
        variables: Option<Variables<T>>,
        effects: &mut Vec<Effect>,
    ) -> Vec<Waker> {
        let lanes = core.engine.num_lanes();
        core.engine.restore(global_step, after, lanes);
        // A stop, and whatever else was to be done in the earlier life, is not for this one.
        effects.clear();
        drop(self.stop_request.take());
        let wakers = core.clear();
        self.due.clear();
        let before = chief.clear();
        // Under one lock: a reader sees either life whole.
        let mut published = self.published();
        let snapshot = Arc::make_mut(&mut published);
        if let Some(variables) = variables.or(before) {
            snapshot.variables = variables;
        }
        snapshot.global_step = global_step;
        snapshot.generation = core.engine.generation();
        chief.store.tables().begin((snapshot.generation, global_step));
        self.watch.begin(global_step);
        wakers
    }

    /// Wakes those whose life has ended.
    fn tell(&self, wakers: Vec<Waker>) {
        self.watch.wake();
        wakers.into_iter().for_each(wake);
    }
}
