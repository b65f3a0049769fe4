//! `fit`: every replica runs its loop "as if not synchronised", hooks around each update (R-35).
//!
//! One thread a replica; a replica that fails leaves, and the others go on (P-5).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hooks::{MonitoredSession, SessionError};

use crate::engine::{JoinError, Refused, StopReason, Tally};
use crate::ids::{Generation, ReplicaId};
use crate::model::BoxError;
use crate::runtime::{ChiefSession, PushError, Replica, Shared, Span, Step, WaitError, describe};
use crate::{Hooks, Model, Scalar, Shard, Trainer};

/// What a training did.
#[derive(Clone, Debug)]
pub struct Report {
    /// Updates that this `fit` made (P-8).
    pub updates: u64,
    /// The global step at its end.
    pub global_step: i64,
    /// Batches pushed, accepted or not (P-8).
    pub batches: u64,
    /// Examples in accepted batches (P-8).
    pub examples: u64,
    /// Pushed batches that became part of a step.
    pub accepted: u64,
    /// Pushed batches that were dropped as stale.
    pub stale: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Why it ended.
    pub stopped: String,
    /// What each replica did.
    pub replicas: Vec<ReplicaReport>,
    /// Who did what when, if a timeline was asked for.
    pub timeline: Vec<Span>,
}

/// What one replica did (P-7).
#[derive(Clone, Debug)]
pub struct ReplicaReport {
    /// Which one.
    pub replica: ReplicaId,
    /// Batches begun.
    pub batches: u64,
    /// Its counters.
    pub tally: Tally,
    /// How long it waited for tokens.
    pub waited: Duration,
    /// How long it computed.
    pub computed: Duration,
    /// How it ended.
    pub outcome: ReplicaOutcome,
}

/// How a replica's loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaOutcome {
    /// Training ended.
    Finished,
    /// Its data ended; the others went on (P-6).
    DataEnded,
    /// It failed, in these words; the others went on (P-5).
    Failed(String),
    /// It panicked, in these words; the others went on (P-5).
    Panicked(String),
}

/// Why a training failed as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// A hook failed, or an update did.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// An update failed.
    #[error("training ended: {reason}")]
    Update {
        /// What failed.
        reason: String,
    },
    /// No replica is left: the first failure tells why.
    #[error("all {count} replicas failed; {replica}: {reason}")]
    AllFailed {
        /// How many there were.
        count: usize,
        /// The first that failed, by number.
        replica: ReplicaId,
        /// Why it did.
        reason: String,
    },
    /// Replicas of one's own are still there.
    #[error("{count} replicas have joined by hand; drop their handles before fit")]
    Busy {
        /// How many.
        count: usize,
    },
    /// The chief could not start again.
    #[error(transparent)]
    Config(#[from] crate::engine::ConfigError),
}

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

type Monitored<T> = Arc<Mutex<MonitoredSession<'static, ChiefSession<T>>>>;

impl<T: Scalar> Trainer<T> {
    /// Trains until a hook or a [`StopHandle`](crate::StopHandle) ends it, or all data has ended.
    ///
    /// `shard` makes each replica's source of batches, on that replica's thread. Called again, it
    /// goes on from where it stopped, in a new generation.
    ///
    /// # Errors
    /// [`FitError`] when a hook or an update fails, or every replica does. The failure of some
    /// replicas is in the report.
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
    ///         _: &Work<'_>,
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
        shard: impl Fn(ReplicaId) -> S + Sync,
        hooks: Hooks<T>,
    ) -> Result<Report, FitError>
    where
        M: Model<T>,
        S: Shard<Batch = M::Batch>,
    {
        let first_step = self.begin()?;
        let (begun, before) = (Instant::now(), self.totals());
        let monitored = self.monitor(hooks)?;
        let count = self.shared.core().config().total_num_replicas();
        let ids = (0..count as u64).map(ReplicaId::new);
        let outcomes: Vec<ReplicaOutcome> = std::thread::scope(|scope| {
            let threads: Vec<_> = ids
                .map(|id| {
                    let (shard, shared) = (&shard, &self.shared);
                    scope.spawn(move || run_replica(shared, id, model, shard))
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| ReplicaOutcome::Panicked(message(&*panic)))
            };
            threads.into_iter().map(join).collect()
        });
        self.shared.stop(StopReason::Requested("every replica has left".to_owned()));
        self.shared.uninstall();
        let closed = monitored.lock().unwrap_or_else(PoisonError::into_inner).close();
        closed?;
        let report = self.report(first_step, begun.elapsed(), before, outcomes);
        self.verdict(report)
    }

    /// A fresh start unless nothing has happened yet; the step to count from.
    fn begin(&self) -> Result<i64, FitError> {
        let (live, fresh, step) = {
            let core = self.shared.core();
            (core.engine.num_live(), core.engine.is_fresh(), core.engine.global_step())
        };
        if live > 0 {
            return Err(FitError::Busy { count: live });
        }
        if !fresh {
            self.shared.restart(step, Generation::default(), None);
            self.start()?;
        }
        Ok(step.get())
    }

    /// Puts the hooks between the steps.
    fn monitor(&self, hooks: Hooks<T>) -> Result<Monitored<T>, FitError> {
        let shared = Arc::downgrade(&self.shared);
        let session = MonitoredSession::builder(move |_| match shared.upgrade() {
            Some(shared) => Ok(shared.session()),
            None => Err(hooks::RunError::Stopped),
        })
        .hooks(hooks.list)
        .start()?;
        let coordinator = session.coordinator().clone();
        let over = session.should_stop();
        let monitored = Arc::new(Mutex::new(session));
        let theirs = Arc::clone(&monitored);
        self.shared.install(Box::new(move |closing| {
            let mut session = theirs.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(chief) = session.session_mut() {
                // Hooks see whole steps: with a lane for each variable, only the last one that
                // closes makes the step, and the others are applied without them.
                if !chief.completes_step() {
                    return chief.apply(closing).map_err(|e| StopReason::Failed(describe(&e)));
                }
                chief.pending = Some(closing);
            }
            let reason = || StopReason::Requested(coordinator.stop_reason().unwrap_or_default());
            match session.run() {
                Ok(Some(_)) if !session.should_stop() => Ok(()),
                Ok(_) => Err(reason()),
                Err(error) => Err(StopReason::Failed(describe(&error))),
            }
        }));
        if over {
            let session = monitored.lock().unwrap_or_else(PoisonError::into_inner);
            let reason = session.coordinator().stop_reason().unwrap_or_default();
            self.shared.stop(StopReason::Requested(reason));
        }
        Ok(monitored)
    }

    fn report(
        &self,
        first_step: i64,
        elapsed: Duration,
        before: crate::Totals,
        outcomes: Vec<ReplicaOutcome>,
    ) -> Report {
        let timeline = self.shared.take_spans();
        let global_step = self.snapshot().global_step.get();
        let core = self.shared.core();
        let stopped = match core.engine.stopped() {
            Some(StopReason::Requested(reason) | StopReason::Failed(reason)) => reason.clone(),
            None => String::new(),
        };
        let replicas: Vec<ReplicaReport> = outcomes
            .into_iter()
            .enumerate()
            .map(|(index, outcome)| {
                let (replica, log) = (ReplicaId::new(index as u64), &core.seats[index].log);
                ReplicaReport {
                    replica,
                    batches: log.batches,
                    tally: core.engine.tally(replica).unwrap_or_default(),
                    waited: log.waited,
                    computed: log.computed,
                    outcome,
                }
            })
            .collect();
        Report {
            updates: global_step.saturating_sub(first_step).unsigned_abs(),
            global_step,
            batches: core.totals.batches - before.batches,
            examples: core.totals.examples - before.examples,
            accepted: core.totals.accepted - before.accepted,
            stale: core.totals.stale - before.stale,
            elapsed,
            stopped,
            replicas,
            timeline,
        }
    }

    fn verdict(&self, report: Report) -> Result<Report, FitError> {
        if let Some(StopReason::Failed(reason)) = self.shared.core().engine.stopped() {
            return Err(FitError::Update { reason: reason.clone() });
        }
        let failures: Vec<_> = report
            .replicas
            .iter()
            .filter_map(|replica| match &replica.outcome {
                ReplicaOutcome::Failed(reason) | ReplicaOutcome::Panicked(reason) => {
                    Some((replica.replica, reason.clone()))
                }
                _ => None,
            })
            .collect();
        match failures.first() {
            Some((replica, reason)) if failures.len() == report.replicas.len() => {
                let (replica, reason) = (*replica, reason.clone());
                Err(FitError::AllFailed { count: report.replicas.len(), replica, reason })
            }
            _ => Ok(report),
        }
    }
}

/// One replica's life; what goes wrong in it is told, not spread.
fn run_replica<T, M, S>(
    shared: &Arc<Shared<T>>,
    id: ReplicaId,
    model: &M,
    shard: &(impl Fn(ReplicaId) -> S + Sync),
) -> ReplicaOutcome
where
    T: Scalar,
    M: Model<T>,
    S: Shard<Batch = M::Batch>,
{
    match catch_unwind(AssertUnwindSafe(|| replica_loop(shared, id, model, shard))) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            tracing::warn!(replica = %id, error = describe(&error), "a replica failed and left");
            ReplicaOutcome::Failed(describe(&error))
        }
        Err(panic) => ReplicaOutcome::Panicked(message(&*panic)),
    }
}

fn replica_loop<T, M, S>(
    shared: &Arc<Shared<T>>,
    id: ReplicaId,
    model: &M,
    shard: &(impl Fn(ReplicaId) -> S + Sync),
) -> Result<ReplicaOutcome, LoopError>
where
    T: Scalar,
    M: Model<T>,
    S: Shard<Batch = M::Batch>,
{
    let mut replica = match Replica::join(shared, id) {
        Err(JoinError::Ended) => return Ok(ReplicaOutcome::Finished),
        joined => joined?,
    };
    let mut shard = shard(id);
    while let Some(step) = next_step(&mut replica)? {
        let Some(batch) = shard.batch(step.number()) else {
            return Ok(ReplicaOutcome::DataEnded);
        };
        let computed = model.gradients(step.variables(), &batch, &step.work());
        match computed.map_err(LoopError::Model)? {
            None => step.give_up(),
            Some(computed) => match step.push_computed(computed) {
                // Training ended while it computed.
                Err(PushError::Refused(Refused::Ended)) => {}
                pushed => drop(pushed?),
            },
        }
    }
    Ok(ReplicaOutcome::Finished)
}

/// The next step; a failed update ends the loop as any end does, since `fit` itself tells it.
fn next_step<T: Scalar>(replica: &mut Replica<T>) -> Result<Option<Step<'_, T>>, WaitError> {
    match replica.next_step() {
        Err(WaitError::Failed { .. }) => Ok(None),
        step => step,
    }
}

/// What a panic said.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}
