//! The trainer: variables, optimizer and engine at work, and the entry for replicas.
//!
//! Made by the builder, already started; training itself is in `fit.rs`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use accum_core::{GlobalStep, LocalStep};
use ndarray::Array2;

use crate::checkpoint::{self, CheckpointError, TrainingState};
use crate::hook_host::TrainingView;
use crate::runtime::{Replica, Shared, StopRequest, Watch};
use crate::status::StatusHandle;
use crate::store::{Torn, Totals};
use crate::{Gradients, Scalar, Snapshot, VariableError, Variables};
use engine::{ConfigError, InitialTokens, JoinError, ReplicaId, Tally, TokenLedger};

/// A running training: variables, optimizer, engine, and the entry for replicas.
///
/// Two trainers share nothing, so any number of them may live in one process (P-10).
pub struct Trainer<T: Scalar> {
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) initial: InitialTokens,
    pub(crate) min_replicas: usize,
    /// Held by `fit` while it runs.
    pub(crate) fitting: Mutex<()>,
}

/// Ends a training from anywhere, a signal handler included: it takes no lock and no memory.
#[derive(Clone, Debug)]
pub struct StopHandle {
    watch: Arc<Watch>,
    request: Arc<StopRequest>,
}

impl<T: Scalar> fmt::Debug for Trainer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("shared", &self.shared)
            .field("min_replicas", &self.min_replicas)
            .finish_non_exhaustive()
    }
}

impl StopHandle {
    /// Ends it: every wait returns at once, and no error is reported. The first reason stands, to
    /// its 255th byte. An update under way is finished and counted. It ends the present run; a
    /// later [`fit`](Trainer::fit) begins anew.
    // P-1
    pub fn stop(&self, reason: &str) {
        // In this order: what begins in between ends by the request.
        self.watch.end();
        self.request.leave(reason);
    }
}

/// Looks up rows of a training's tables from any thread: for evaluation, in hooks and elsewhere.
#[derive(Clone, Debug)]
pub struct TableReader<T: Scalar> {
    shared: Arc<Shared<T>>,
}

impl<T: Scalar> TableReader<T> {
    /// The rows of these keys of a table as they are now, as [`Trainer::lookup`].
    ///
    /// # Errors
    /// [`VariableError`]: there is no such table.
    pub fn lookup(&self, table: &str, keys: &[i64]) -> Result<Array2<T>, VariableError> {
        self.shared.lookup_newest(table, keys)
    }

    /// How many rows a table has: those that updates have made. `None` without such a table.
    #[must_use]
    pub fn num_rows(&self, table: &str) -> Option<usize> {
        self.shared.num_rows(table)
    }
}

/// Saves a training from any thread.
#[derive(Clone, Debug)]
pub struct SaveHandle<T: Scalar> {
    shared: Arc<Shared<T>>,
}

impl<T: Scalar> SaveHandle<T> {
    /// Writes a checkpoint, as [`Trainer::save`] does.
    ///
    /// # Errors
    /// [`CheckpointError`], as there.
    pub fn save(&self, folder: &Path, keep: usize) -> Result<PathBuf, CheckpointError> {
        self.shared.save(folder, keep)
    }
}

impl<T: Scalar> Trainer<T> {
    /// Takes part as a replica, from the caller's own thread or task.
    ///
    /// # Errors
    /// [`JoinError`] when the number is N or more, taken, or training has ended.
    ///
    /// # Examples
    /// One replica's loop, written out. With two replicas of which both must contribute:
    /// ```
    /// use ndarray::array;
    /// use optim::Sgd;
    /// use sync_replicas::{Gradients, ReplicaId, SyncReplicas, Variables};
    ///
    /// let variables = Variables::new().with("w", array![4.0_f64])?;
    /// let trainer = SyncReplicas::new(Sgd::new(0.25)).replicas_to_aggregate(2).build(variables)?;
    /// std::thread::scope(|scope| {
    ///     for replica in 0..2 {
    ///         let mut replica = trainer.replica(ReplicaId::new(replica)).expect("it is free");
    ///         let stop = trainer.stop_handle();
    ///         scope.spawn(move || {
    ///             while let Some(step) = replica.next_step().expect("nobody is overdue") {
    ///                 if step.global_step().get() == 3 {
    ///                     stop.stop("three steps are enough");
    ///                     break;
    ///                 }
    ///                 let w = step.variables().vector("w").expect("it is there").to_owned();
    ///                 step.push(Gradients::new().dense("w", w * 2.0)).expect("it fits");
    ///             }
    ///         });
    ///     }
    /// });
    /// assert_eq!(trainer.snapshot().variables.vector("w")?, array![0.5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replica(&self, id: ReplicaId) -> Result<Replica<T>, JoinError> {
        Replica::join(&self.shared, id)
    }

    /// The newest variables with their step; readers never meet a half-written one.
    ///
    /// After an update that failed half-way, which [`fit`](Self::fit) and [`save`](Self::save) say,
    /// they may be of no one step until a checkpoint is restored; with
    /// [`use_locking(false)`](crate::SyncReplicas::use_locking) they are those before it.
    // P-11
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<T>> {
        self.shared.snapshot()
    }

    /// The rows of these keys of a table, keys x width, as they are now: of whole updates, and of
    /// the newest step. A row that no update has made is as it was born; looking up changes
    /// nothing.
    ///
    /// # Errors
    /// [`VariableError`]: there is no such table.
    // P-17
    pub fn lookup(&self, table: &str, keys: &[i64]) -> Result<Array2<T>, VariableError> {
        self.shared.lookup_newest(table, keys)
    }

    /// A handle that looks up rows from any thread, while `fit` runs.
    #[must_use]
    pub fn table_reader(&self) -> TableReader<T> {
        TableReader { shared: Arc::clone(&self.shared) }
    }

    /// The variables with the moving averages in place of those that have one; `None` without
    /// averages.
    // R-28
    #[must_use]
    pub fn averages(&self) -> Option<Variables<T>> {
        self.shared.averages()
    }

    /// The last averaged gradient, if it is kept; looking does not take it.
    // P-10
    #[must_use]
    pub fn last_average(&self) -> Option<Arc<Gradients<T>>> {
        self.shared.chief().last_average.clone()
    }

    /// Batches and examples so far; updates are the snapshot's global step.
    // P-8
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.totals()
    }

    /// One replica's counters.
    // P-7
    #[must_use]
    pub fn tally(&self, replica: ReplicaId) -> Option<Tally> {
        self.shared.core().engine.tally(replica)
    }

    /// The ledger of the tokens.
    #[must_use]
    pub fn ledger(&self) -> TokenLedger {
        self.shared.core().engine.ledger()
    }

    /// The tokens in the queue right now.
    #[must_use]
    pub fn num_tokens(&self) -> usize {
        self.shared.core().engine.num_tokens()
    }

    /// How many gradients a variable's accumulator holds; `None` for one without a gradient.
    #[must_use]
    pub fn num_accumulated(&self, variable: &str) -> Option<u64> {
        let index = self.shared.layout.index_of(variable)?;
        self.shared.core().num_accumulated(index)
    }

    /// The step that a replica claims.
    // R-19
    #[must_use]
    pub fn local_step(&self, replica: ReplicaId) -> Option<LocalStep> {
        self.shared.core().engine.local_step(replica)
    }

    /// How many replicas wait for a token right now.
    #[must_use]
    pub fn num_waiting(&self) -> usize {
        self.shared.core().engine.waiting().count()
    }

    /// An optimizer slot of a variable.
    // R-26
    #[must_use]
    pub fn slot(&self, variable: &str, slot: &str) -> Option<ndarray::ArrayD<T>> {
        Some(self.shared.chief().store.optimizer().slot(variable, slot)?.to_owned())
    }

    /// A handle that ends this training.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        // Its thread is what makes an event of a request.
        self.shared.keep_time();
        let (watch, request) =
            (Arc::clone(&self.shared.watch), Arc::clone(&self.shared.stop_request));
        StopHandle { watch, request }
    }

    /// Everything that a checkpoint holds, as of one step.
    ///
    /// # Errors
    /// [`Torn`] when an update failed half-way: there is no such state before a
    /// [`restore`](Self::restore).
    pub fn training_state(&self) -> Result<TrainingState<T>, Torn> {
        self.shared.training_state()
    }

    /// Writes a checkpoint into `folder`, keeping the `keep` newest; returns its path. Steps go on
    /// meanwhile.
    ///
    /// # Errors
    /// [`CheckpointError`]; older checkpoints are untouched. After an update that failed half-way
    /// there is nothing to save: [`CheckpointError::Torn`].
    pub fn save(&self, folder: &Path, keep: usize) -> Result<PathBuf, CheckpointError> {
        self.save_handle().save(folder, keep)
    }

    /// A handle that reports this training's state, from any thread.
    #[must_use]
    pub fn status_handle(&self) -> StatusHandle<T> {
        StatusHandle::new(&self.shared)
    }

    /// A handle that saves this training from any thread, while `fit` runs.
    #[must_use]
    pub fn save_handle(&self) -> SaveHandle<T> {
        SaveHandle { shared: Arc::clone(&self.shared) }
    }

    /// Goes on from a checkpoint: a `checkpoint-STEP` folder, or the newest one in `path`.
    ///
    /// A new generation begins: replicas that joined before are fenced off and join again (P-9).
    ///
    /// # Errors
    /// [`CheckpointError`] when there is none, it is damaged, or it belongs to another model or
    /// optimizer; nothing has changed then.
    pub fn restore(&self, path: &Path) -> Result<GlobalStep, CheckpointError> {
        let mut state = checkpoint::read::<T>(path)?;
        let step = state.global_step;
        // Of a single checkpoint it is the folder around it in which others may have gone on.
        for folder in [Some(path), path.parent()].into_iter().flatten() {
            state.generation = state.generation.max(checkpoint::newest_generation(folder)?);
        }
        self.shared.restore(state, self.initial)?;
        self.shared.keep_time();
        Ok(step)
    }

    /// The chief starts, and so does the clock.
    pub(crate) fn start(&self) -> Result<(), ConfigError> {
        self.shared.start_chief(self.initial)?;
        self.shared.keep_time();
        Ok(())
    }
}
