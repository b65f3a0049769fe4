//! One step of a replica of a cluster: owned, so that it can be kept beside its replica.
//!
//! Holds the variables that the gradients are computed from, and releases them before the push, so
//! that the servers' next ones are written in place.

use std::fmt;
use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD};
use sync_replicas::driver::{GradientBuffers, LocalStep};
use sync_replicas::engine::Outcome;
use sync_replicas::error::VariableError;
use sync_replicas::{
    Cancellation, Computed, GlobalStep, Gradients, ReplicaId, Scalar, Variables, Work,
};

use super::super::ClusterError;
use super::shared_worker::SharedWorker;
use super::{ClusterPush, Held, Worker};
use crate::client::Pushed;

/// A permission to compute one batch, with the variables to compute it from; of
/// [`ClusterReplica::next_step`](super::ClusterReplica::next_step).
///
/// Dropping it without a push gives the token back: to another replica if the step still needs it.
/// So does asking for the next step, or the end of its replica; then it can no longer be pushed.
pub struct ClusterStep<T: Scalar> {
    pub(super) place: Arc<SharedWorker<T>>,
    replica: ReplicaId,
    pub(super) serial: u64,
    number: u64,
    local_step: LocalStep,
    global_step: GlobalStep,
    variables: Variables<T>,
    superseded: Cancellation,
    buffers: Arc<GradientBuffers<T>>,
}

impl<T: Scalar> fmt::Debug for ClusterStep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterStep")
            .field("number", &self.number)
            .field("local_step", &self.local_step)
            .finish_non_exhaustive()
    }
}

impl<T: Scalar> ClusterStep<T> {
    /// The step that a worker holds.
    pub(super) fn of(worker: &Worker<T>, held: &Held, place: &Arc<SharedWorker<T>>) -> Self {
        Self {
            place: Arc::clone(place),
            replica: worker.replica,
            serial: held.serial,
            number: held.grant.number,
            local_step: held.grant.local_step,
            global_step: worker.client.global_step(),
            variables: worker.client.variables().clone(),
            superseded: held.superseded.clone(),
            buffers: Arc::clone(&worker.buffers),
        }
    }

    /// The variables to compute gradients from. A clone shares their memory, and costs a copy of
    /// them if it is kept beyond the step.
    #[must_use]
    pub fn variables(&self) -> &Variables<T> {
        &self.variables
    }

    /// The step of those variables.
    #[must_use]
    pub fn global_step(&self) -> GlobalStep {
        self.global_step
    }

    /// The step that the gradients will claim: the token's.
    //
    #[must_use]
    pub fn local_step(&self) -> LocalStep {
        self.local_step
    }

    /// The number of the batch to compute.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether its gradients would be dropped, training has ended, or this process was asked to
    /// leave.
    // P-13
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.superseded.is_cancelled()
    }

    /// The same, to await, or to ask elsewhere.
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        self.superseded.clone()
    }

    /// The order for a [`Model`](sync_replicas::Model).
    #[must_use]
    pub fn work(&self) -> Work<'_, T> {
        let (step, number) = (self.global_step, self.number);
        Work::new(self.replica, step, number, &self.superseded, &self.buffers)
    }

    /// An array of a variable's shape to write its gradient to, so that a step allocates nothing:
    /// once pushed, it is free for another step. It holds whatever an earlier step left.
    ///
    /// # Errors
    /// [`VariableError::Unknown`] names those that exist.
    pub fn buffer(&self, variable: &str) -> Result<ArrayD<T>, VariableError> {
        self.work().buffer(variable)
    }

    /// Pushes the gradients of all variables as one unit, and waits for their fate:
    /// [`begin_push`](Self::begin_push) and [`ClusterPush::wait`].
    ///
    /// They are a [`Computed`], or [`Gradients`] alone: then hooks and reports lack the loss and
    /// the examples of this batch.
    ///
    /// # Errors
    /// As those.
    ///
    /// # Panics
    /// In a task of a runtime, which must not block.
    // P-11
    pub fn push(self, pushed: impl Into<Pushed<T>>) -> Result<Option<Outcome>, ClusterError> {
        self.begin_push(pushed)?.wait()
    }

    /// Sends the gradients of all variables on their way, as one unit, without waiting.
    ///
    /// # Errors
    /// [`ClusterError::Push`] when they do not fit: nothing was changed, the token was given back,
    /// and the replica may go on. [`ClusterError::StepOver`] when the token was given back before.
    // P-11
    pub fn begin_push(
        mut self,
        pushed: impl Into<Pushed<T>>,
    ) -> Result<ClusterPush<T>, ClusterError> {
        self.variables = Variables::new();
        let place = Arc::clone(&self.place);
        // If another caller waits with it, that is a wait for a later step.
        let Some(mut worker) = place.try_lock() else { return Err(ClusterError::StepOver) };
        match &mut *worker {
            Some(worker) if worker.holds(self.serial) => worker.begin_push(pushed)?,
            _ => return Err(ClusterError::StepOver),
        }
        Ok(ClusterPush::of(&place, self.serial))
    }

    /// Pushes borrowed dense gradients, by their variables' names: they are copied once, into
    /// memory that is kept from step to step.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub fn push_views<'v, N: Into<String>>(
        self,
        gradients: impl IntoIterator<Item = (N, ArrayViewD<'v, T>)>,
        of_batch: (f64, u64),
    ) -> Result<Option<Outcome>, ClusterError> {
        self.begin_push_views(gradients, of_batch)?.wait()
    }

    /// [`begin_push`](Self::begin_push) of dense gradients that are borrowed for this call only.
    ///
    /// # Errors
    /// As [`begin_push`](Self::begin_push).
    pub fn begin_push_views<'v, N: Into<String>>(
        self,
        gradients: impl IntoIterator<Item = (N, ArrayViewD<'v, T>)>,
        (loss, examples): (f64, u64),
    ) -> Result<ClusterPush<T>, ClusterError> {
        let gradients = gradients.into_iter().fold(Gradients::new(), |all, (name, view)| {
            let name = name.into();
            let own = match self.buffer(&name) {
                Ok(mut own) if own.shape() == view.shape() => {
                    own.assign(&view);
                    own
                }
                // The push says what is wrong with it.
                _ => view.to_owned(),
            };
            all.dense(name, own)
        });
        self.begin_push(Computed { loss, examples, gradients })
    }

    /// Gives the batch up; the same as dropping the step.
    pub fn give_up(self) {}
}

impl<T: Scalar> Drop for ClusterStep<T> {
    fn drop(&mut self) {
        // The caller that waits with the worker has given this step back.
        if let Some(mut worker) = self.place.try_lock()
            && let Some(worker) = worker.as_mut().filter(|it| it.holds(self.serial))
        {
            worker.give_back(None);
        }
    }
}
