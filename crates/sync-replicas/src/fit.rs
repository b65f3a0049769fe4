//! `fit`: every replica runs its loop "as if not synchronised", hooks around each update (R-35).
//!
//! One thread a replica; a replica that fails leaves, and the others go on (P-5).

mod counted;
mod error;
mod failures;

use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, TryLockError};
use std::thread::{Builder, ScopedJoinHandle};

use hooks::{NanLoss, RunError, SessionError};

use crate::failure::{describe, describe_panic};
use crate::hook_host::HookHost;
use crate::model::BoxError;
use crate::report::ReplicaOutcome;
use crate::runtime::{BeginError, Begun, Monitor, PushError, Replica, Shared, Step, WaitError};
use crate::store::UpdateError;
use crate::{BatchSource, Hooks, LookupError, Model, Report, Scalar, Trainer, checkpoint};
use engine::{Generation, JoinError, Refused, ReplicaId, StopReason};

use counted::Counted;
pub use error::FitError;
use failures::{Failures, Watched};

/// Why one replica's loop failed.
#[derive(Debug, thiserror::Error)]
enum LoopError {
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error("the model failed")]
    Model(#[source] BoxError),
}

impl<T: Scalar> Trainer<T> {
    /// Trains until a hook or a [`StopHandle`](crate::StopHandle) ends it, or all data has ended.
    ///
    /// `data` makes each replica's source of batches, on that replica's thread. Called again, it
    /// goes on from where it stopped, in a new generation.
    ///
    /// # Errors
    /// [`FitError`] when a hook or an update fails, or so many replicas that fewer than
    /// [`min_replicas`](crate::SyncReplicas::min_replicas) are left. The failure of a few is a
    /// warning at once, and in the report (P-5).
    ///
    /// # Examples
    /// A line through points, by two replicas of which both must contribute:
    /// ```
    /// use ndarray::array;
    /// use optim::Sgd;
    /// use sync_replicas::{
    ///     BoxError, Computed, Gradients, Hooks, Model, SyncReplicas, Variables, Work,
    /// };
    ///
    /// struct Line;
    ///
    /// impl Model<f64> for Line {
    ///     type Batch = (f64, f64);
    ///
    ///     fn gradients(
    ///         &self,
    ///         variables: &Variables<f64>,
    ///         &(x, y): &(f64, f64),
    ///         _: &Work<'_, f64>,
    ///     ) -> Result<Option<Computed<f64>>, BoxError> {
    ///         let error = variables.vector("slope")?[0] * x - y;
    ///         let gradients = Gradients::new().dense("slope", array![2.0 * error * x]);
    ///         Ok(Some(Computed { loss: error * error, examples: 1, gradients }))
    ///     }
    /// }
    ///
    /// let trainer = SyncReplicas::new(Sgd::new(0.1))
    ///     .replicas_to_aggregate(2)
    ///     .build(Variables::new().with("slope", array![0.0])?)?;
    /// let points = |_| [(1.0, 3.0), (0.5, 1.5)].into_iter().cycle();
    /// let report = trainer.fit(&Line, points, Hooks::new().stop_at_step(100))?;
    /// assert_eq!(report.updates, 100);
    /// assert!((trainer.snapshot().variables.vector("slope")?[0] - 3.0).abs() < 1e-3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fit<M, S>(
        &self,
        model: &M,
        data: impl Fn(ReplicaId) -> S + Sync,
        hooks: Hooks<T>,
    ) -> Result<Report, FitError>
    where
        M: Model<T>,
        S: BatchSource<Batch = M::Batch>,
    {
        // Free also after a panic, which left nothing behind that `begin` does not replace.
        let _running = match self.fitting.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(FitError::Running),
            free => free,
        };
        let folders = hooks.checkpoint_folders();
        let (host, begun) = self.begin(hooks)?;
        let (first_step, generation) = (begun.step.get(), begun.generation);
        let before = Counted::now(&self.shared);
        let count = before.tallies.len();
        let ids = (0..count as u64).map(ReplicaId::new);
        let failures = Failures::new(&self.shared, generation, self.min_replicas);
        let outcomes: Vec<ReplicaOutcome> = std::thread::scope(|scope| {
            let threads: Vec<_> = ids
                .map(|id| {
                    let (data, shared, failures) = (&data, &self.shared, &failures);
                    let run = move || {
                        let watched = failures.watch(id);
                        let outcome = run_replica(shared, id, model, data, &watched);
                        watched.ended(&outcome);
                        outcome
                    };
                    let thread = Builder::new().name(id.to_string()).spawn_scoped(scope, run);
                    thread.map_err(|error| {
                        let outcome = no_thread(&error);
                        failures.watch(id).ended(&outcome);
                        outcome
                    })
                })
                .collect();
            threads.into_iter().map(outcome).collect()
        });
        self.shared.stop_generation(generation, requested("every replica has left"));
        self.shared.uninstall();
        let closed = guarded(|| host.close());
        let elapsed = self.shared.now().saturating_sub(begun.at);
        let report = before.report(&self.shared, first_step, elapsed, outcomes);
        let ended = closed.and_then(|()| self.verdict(report, generation, &failures));
        ended.map_err(|error| self.good_ones(error, &folders))
    }

    /// After an end by numbers that are not finite: sets aside checkpoints that are not known to be
    /// good, and names the newest good one.
    fn good_ones(&self, error: FitError, folders: &[PathBuf]) -> FitError {
        let reason = match &error {
            FitError::Session(SessionError::Hook { source, .. } | SessionError::Step(source)) => {
                let update = source.downcast_ref::<UpdateError>();
                let found = matches!(update, Some(UpdateError::NotFinite(_)));
                (found || source.is::<NanLoss>()).then(|| source.to_string())
            }
            FitError::Update { reason } => {
                self.shared.core().engine.ended_not_finite().then(|| reason.clone())
            }
            _ => None,
        };
        let Some(reason) = reason else { return error };
        let tested = self.shared.chief().tested;
        let kept = folders.iter().map(|folder| match checkpoint::set_aside(folder, tested) {
            Ok(kept) => format!("; {kept}"),
            Err(error) => format!("; bad checkpoints were not set aside: {}", describe(&error)),
        });
        FitError::NotFinite { reason, kept: kept.collect() }
    }

    /// Puts the hooks between the steps, and makes a fresh start unless nothing has happened yet;
    /// returns the hooks' host, and where training begins.
    fn begin(&self, hooks: Hooks<T>) -> Result<(Arc<HookHost<T>>, Begun), FitError> {
        // Before a hook is called; a replica that joins meanwhile is found below.
        let count = self.shared.core().engine.num_live();
        if count > 0 {
            return Err(FitError::Busy { count });
        }
        self.shared.chief().whole()?;
        let (view, hooks) = (Arc::clone(&self.shared), hooks.into_boxed(&self.shared));
        let host = Arc::new(guarded(|| HookHost::start(view, hooks))?);
        let monitor = monitor(&host, &self.shared);
        let begun = self.shared.begin(self.initial, monitor, host.running_hook());
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => {
                guarded(|| host.close())?;
                return Err(match error {
                    BeginError::Busy(count) => FitError::Busy { count },
                    BeginError::Torn(error) => error.into(),
                    BeginError::Config(error) => FitError::Config(error.into()),
                });
            }
        };
        self.shared.keep_time();
        if let Some(reason) = host.stop_reason() {
            self.shared.stop_generation(begun.generation, requested(reason));
        }
        Ok((host, begun))
    }

    fn verdict(
        &self,
        report: Report,
        generation: Generation,
        failures: &Failures<'_, T>,
    ) -> Result<Report, FitError> {
        if self.shared.core().engine.generation() != generation {
            return Err(FitError::Restored);
        }
        failures.verdict()?;
        if let Some(StopReason::Failed(reason)) = self.shared.core().engine.stopped() {
            return Err(FitError::Update { reason: reason.clone() });
        }
        Ok(report)
    }
}

/// Makes updates with the hooks around them.
fn monitor<T: Scalar>(host: &Arc<HookHost<T>>, shared: &Arc<Shared<T>>) -> Monitor<T> {
    let (host, shared) = (Arc::clone(host), Arc::clone(shared));
    Box::new(move |closing| {
        if let Some(reason) = host.stop_reason() {
            // Its last update is made; a replica that pushes by hand beside it closed another one.
            return Err(requested(reason));
        }
        // Hooks see whole steps: where each variable is admitted for itself, only those that
        // close last make the step, and the others are applied without hooks.
        let failed = |error: &dyn Error| StopReason::Failed(describe(error));
        if !closing.is_last() {
            return shared.chief().apply(&shared, closing).map(drop).map_err(|it| failed(&it));
        }
        let shared = Arc::clone(&shared);
        let update = move || shared.chief().apply(&shared, closing).map_err(RunError::fatal);
        match host.run(update) {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(requested(reason)),
            Err(error) => Err(failed(&error)),
        }
    })
}

/// Calls hooks; one that panics must not take the caller with it.
fn guarded<R>(run: impl FnOnce() -> Result<R, SessionError>) -> Result<R, FitError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => Ok(done?),
        Err(panic) => Err(FitError::Hook { reason: describe_panic(&*panic) }),
    }
}

/// One replica's life; its failures are reported, not spread.
fn run_replica<T, M, S>(
    shared: &Arc<Shared<T>>,
    id: ReplicaId,
    model: &M,
    data: &(impl Fn(ReplicaId) -> S + Sync),
    watched: &Watched<'_, T>,
) -> ReplicaOutcome
where
    T: Scalar,
    M: Model<T>,
    S: BatchSource<Batch = M::Batch>,
{
    match catch_unwind(AssertUnwindSafe(|| replica_loop(shared, id, model, data, watched))) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => ReplicaOutcome::Failed(describe(&error)),
        Err(panic) => ReplicaOutcome::Panicked(describe_panic(&*panic)),
    }
}

fn replica_loop<T, M, S>(
    shared: &Arc<Shared<T>>,
    id: ReplicaId,
    model: &M,
    data: &(impl Fn(ReplicaId) -> S + Sync),
    watched: &Watched<'_, T>,
) -> Result<ReplicaOutcome, LoopError>
where
    T: Scalar,
    M: Model<T>,
    S: BatchSource<Batch = M::Batch>,
{
    let mut replica = match Replica::join(shared, id) {
        Err(JoinError::Ended) => return Ok(ReplicaOutcome::Finished),
        joined => joined?,
    };
    watched.joined(replica.incarnation);
    let mut source = data(id);
    while let Some(step) = next_step(&mut replica)? {
        watched.at(Some(step.number()));
        let Some(batch) = source.batch(step.number()) else {
            return Ok(ReplicaOutcome::DataEnded);
        };
        let compute = || {
            let keys = model.keys(&batch);
            let rows = match step.lookup_all(&keys) {
                Err(LookupError::Superseded { .. }) => return Ok(None),
                rows => rows?,
            };
            model.gradients(step.variables(), &batch, &step.work().with_rows(&rows))
        };
        let computed = match catch_unwind(AssertUnwindSafe(compute)) {
            Ok(Ok(computed)) => Ok(computed),
            Ok(Err(error)) => Err(ReplicaOutcome::Failed(describe(&LoopError::Model(error)))),
            Err(panic) => Err(ReplicaOutcome::Panicked(describe_panic(&*panic))),
        };
        let computed = match computed {
            Ok(computed) => computed,
            // Told of while the batch is in its hands: no other replica has it yet.
            Err(outcome) => {
                watched.ended(&outcome);
                return Ok(outcome);
            }
        };
        match computed {
            None => step.give_up(),
            Some(computed) => match step.push_computed(computed) {
                // Training ended while it computed.
                Err(PushError::Refused(Refused::Ended)) => {}
                pushed => drop(pushed?),
            },
        }
        watched.at(None);
    }
    Ok(ReplicaOutcome::Finished)
}

/// The next step; a failed update ends the loop as any end does, since `fit` itself reports it.
fn next_step<T: Scalar>(replica: &mut Replica<T>) -> Result<Option<Step<'_, T>>, WaitError> {
    match replica.next_step() {
        Err(WaitError::Failed { .. }) => Ok(None),
        step => step,
    }
}

/// How a replica's thread ended, if there was one.
fn outcome(thread: Result<ScopedJoinHandle<'_, ReplicaOutcome>, ReplicaOutcome>) -> ReplicaOutcome {
    match thread.map(ScopedJoinHandle::join) {
        Ok(Ok(outcome)) | Err(outcome) => outcome,
        Ok(Err(panic)) => ReplicaOutcome::Panicked(describe_panic(&*panic)),
    }
}

fn no_thread(error: &io::Error) -> ReplicaOutcome {
    ReplicaOutcome::Failed(format!("no thread could be started: {error}"))
}

fn requested(reason: impl Into<String>) -> StopReason {
    StopReason::Requested(reason.into())
}
