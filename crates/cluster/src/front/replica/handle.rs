//! A replica for the user's own loop: it blocks, and has its own runtime.

use std::fmt;
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use optim::Optimizer;
use sync_replicas::{Hooks, ReplicaId, Scalar};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::super::life::draw;
use super::super::runtime::start_runtime;
use super::super::{ClusterError, ClusterReport, ClusterTrainer};
use super::shared_worker::SharedWorker;
use super::{ClusterStep, end_of};
use crate::client::Departure;
use crate::spec::Role;

/// One replica of a cluster, from joining to leaving; of [`ClusterTrainer::replica`].
///
/// Dropping it without [`finish`](Self::finish), even by a panic, is leaving: its token goes to
/// another and training goes on with the rest (P-2, P-5). That takes a few seconds at most, even
/// while servers are out of reach.
pub struct ClusterReplica<T: Scalar> {
    id: ReplicaId,
    pub(super) place: Arc<SharedWorker<T>>,
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl<T: Scalar, O: Optimizer<T> + 'static> ClusterTrainer<'_, T, O> {
    /// This process's replica, for the caller's own loop in a worker or the chief.
    ///
    /// It connects at the first wait. Hooks run in the chief, in [`ClusterReplica::next_step`] and
    /// [`ClusterReplica::finish`]. Parameter servers of such a program call
    /// [`run_server`](Self::run_server).
    ///
    /// # Errors
    /// [`ClusterError`]: this process is a parameter server or an evaluator, certificates cannot
    /// be read, or a hook cannot begin.
    ///
    /// # Panics
    /// In a task of a runtime, which must not block.
    ///
    /// # Examples
    /// The whole program, in every process of the cluster:
    /// ```no_run
    /// use cluster::spec::Role;
    /// use cluster::{Cluster, OnCluster};
    /// use optim::Sgd;
    /// use sync_replicas::{Computed, Gradients, Hooks, SyncReplicas, Variables};
    ///
    /// let cluster = Cluster::from_env(1)?.expect("it runs in a cluster");
    /// let hooks = Hooks::new().stop_at_step(100);
    /// let trainer = SyncReplicas::new(Sgd::new(0.25))
    ///     .replicas_to_aggregate(2)
    ///     .total_num_replicas(3)
    ///     .on(&cluster)
    ///     .build(Variables::new().with("w", ndarray::array![4.0])?)?;
    /// if cluster.place().task.role == Role::Ps {
    ///     trainer.run_server(hooks)?;
    ///     return Ok(());
    /// }
    /// let mut replica = trainer.replica(hooks)?;
    /// while let Some(step) = replica.next_step()? {
    ///     let w = step.variables().vector("w")?.to_owned();
    ///     let loss = w.dot(&w);
    ///     let gradients = Gradients::new().dense("w", w * 2.0);
    ///     let outcome = step.push(Computed { loss, examples: 1, gradients })?;
    ///     println!("{outcome:?}");
    /// }
    /// println!("{} updates", replica.finish()?.global_step);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replica(mut self, hooks: Hooks<T>) -> Result<ClusterReplica<T>, ClusterError> {
        let task = self.cluster.place.task;
        match task.role {
            Role::Ps => return Err(ClusterError::NoReplica { task }),
            Role::Evaluator => return Err(ClusterError::Evaluator),
            Role::Chief | Role::Worker => {}
        }
        let connector = self.cluster.connector()?;
        let runtime = start_runtime(task)?;
        let (hooks, duties) = hooks.split();
        self.duties = duties;
        let worker = {
            let _inside = runtime.enter();
            self.worker(connector, draw(), hooks)?
        };
        let (id, abandoned) = (worker.replica, worker.abandoned.clone());
        let (worker, handle) = (Mutex::new(Some(worker)), runtime.handle().clone());
        let place = Arc::new(SharedWorker { worker, handle, abandoned });
        Ok(ClusterReplica { id, place, runtime: Some(runtime) })
    }
}

impl<T: Scalar> fmt::Debug for ClusterReplica<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterReplica").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<T: Scalar> ClusterReplica<T> {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// Waits for a token and gives the step to compute; `None` when training has ended, or this
    /// process was asked to leave ([`ProcessHandle::leave`](crate::ProcessHandle::leave)).
    ///
    /// An earlier step that was neither pushed nor dropped is given back. A push begun without a
    /// wait is heard of first.
    ///
    /// # Errors
    /// [`ClusterError::Wait`]; after [`WaitError::Overdue`](crate::client::WaitError::Overdue) it
    /// may wait again. [`ClusterError::Hook`] in the chief: training was ended.
    /// [`ClusterError::Push`] when a push without a waiter was refused.
    ///
    /// # Panics
    /// In a task of a runtime, which must not block.
    // R-20
    pub fn next_step(&mut self) -> Result<Option<ClusterStep<T>>, ClusterError> {
        loop {
            if let Poll::Ready(step) = self.wait_until(None)? {
                return Ok(step);
            }
        }
    }

    /// The same for a wait in slices, between which its caller can do other things: `Pending` when
    /// there is no step within this time. Its place in line is kept, and nothing is lost.
    ///
    /// # Errors
    /// As [`next_step`](Self::next_step).
    ///
    /// # Panics
    /// As [`next_step`](Self::next_step).
    pub fn next_step_within(
        &mut self,
        slice: Duration,
    ) -> Result<Poll<Option<ClusterStep<T>>>, ClusterError> {
        self.wait_until(end_of(slice))
    }

    fn wait_until(
        &mut self,
        until: Option<Instant>,
    ) -> Result<Poll<Option<ClusterStep<T>>>, ClusterError> {
        let mut place = self.place.lock();
        let Some(worker) = &mut *place else { return Ok(Poll::Ready(None)) };
        if self.place.block_on(worker.next_step(until))?.is_pending() {
            return Ok(Poll::Pending);
        }
        let held = worker.held.as_ref();
        Ok(Poll::Ready(held.map(|held| ClusterStep::of(worker, held, &self.place))))
    }

    /// The end of its part: its report, with the last variables. If training goes on it leaves,
    /// like a replica whose data has ended. In the chief hooks have their last turn.
    ///
    /// # Errors
    /// [`ClusterError`]: training failed, or a hook did.
    ///
    /// # Panics
    /// In a task of a runtime, which must not block.
    pub fn finish(self) -> Result<ClusterReport<T>, ClusterError> {
        let worker = self.place.lock().take();
        match worker {
            Some(worker) => self.place.block_on(worker.finish()),
            None => Err(ClusterError::StepOver),
        }
    }
}

impl<T: Scalar> Drop for ClusterReplica<T> {
    fn drop(&mut self) {
        // A thread that still pushes one of its steps need not wait any longer.
        self.place.abandoned.leave();
        let Some(runtime) = self.runtime.take() else { return };
        if let Some(worker) = self.place.lock().take() {
            let departure = match std::thread::panicking() {
                true => Departure::Failed("it panicked".to_owned()),
                false => Departure::Done,
            };
            let (leaving, left) = mpsc::channel::<()>();
            runtime.spawn(async move {
                worker.abandon(departure).await;
                drop(leaving);
            });
            // Not by the runtime, as it may be dropped by a task of another one.
            let _ = left.recv_timeout(FAREWELL);
        }
        // A name that is being looked up is not waited for.
        runtime.shutdown_background();
    }
}

/// How long a dropped replica takes at most to leave.
const FAREWELL: Duration = Duration::from_secs(5);
