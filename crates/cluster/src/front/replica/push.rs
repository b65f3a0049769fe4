//! One push of a replica of a cluster: begun, and then waited for.
//!
//! Invariant: every push begun is followed to its end before the next step, even if no caller waits
//! for it, unless the replica leaves.

use std::fmt;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sync_replicas::engine::Outcome;
use sync_replicas::{Computed, Gradient, Keys, Scalar};
use tokio::time::Instant;

use super::super::ClusterError;
use super::shared_worker::SharedWorker;
use super::{Worker, end_of, leave_requested, over};
use crate::client::{PushError, Pushed};

/// Gradients on their way to the servers; of [`ClusterStep::begin_push`].
///
/// They count once they are waited for: the servers are told to take them when all of them hold
/// their part. Dropping it takes nothing back: the wait for the next step hears of them first, and
/// a replica that leaves gives them up.
///
/// [`ClusterStep::begin_push`]: super::ClusterStep::begin_push
pub struct ClusterPush<T: Scalar> {
    place: Arc<SharedWorker<T>>,
    /// The number of its step.
    serial: u64,
}

impl<T: Scalar> fmt::Debug for ClusterPush<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterPush").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl<T: Scalar> ClusterPush<T> {
    /// The step that a worker has begun to push.
    pub(super) fn of(place: &Arc<SharedWorker<T>>, serial: u64) -> Self {
        Self { place: Arc::clone(place), serial }
    }

    /// Waits for the fate of the gradients. Staleness is no error.
    ///
    /// `None` if the outcome will never be known: training has ended, this process was asked to
    /// leave, or the servers began anew meanwhile. The next [`next_step`] goes on, or says that it
    /// has ended.
    ///
    /// [`next_step`]: super::ClusterReplica::next_step
    ///
    /// # Errors
    /// [`ClusterError::Push`] when they were refused, and [`ClusterError::Wait`] when servers are
    /// out of reach. [`ClusterError::StepOver`] when the outcome was already returned, or the next
    /// step was requested.
    ///
    /// # Panics
    /// In a task of a runtime, which must not block.
    // P-7
    pub fn wait(self) -> Result<Option<Outcome>, ClusterError> {
        loop {
            if let Poll::Ready(outcome) = self.wait_until(None)? {
                return Ok(outcome);
            }
        }
    }

    /// The same for a wait in slices, between which its caller can do other things: `Pending` when
    /// the outcome is not known within this time. Nothing is lost.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    pub fn wait_within(&mut self, slice: Duration) -> Result<Poll<Option<Outcome>>, ClusterError> {
        self.wait_until(end_of(slice))
    }

    fn wait_until(&self, until: Option<Instant>) -> Result<Poll<Option<Outcome>>, ClusterError> {
        // If another caller waits with it, that is a wait for a later step.
        let Some(mut worker) = self.place.try_lock() else { return Err(ClusterError::StepOver) };
        match &mut *worker {
            Some(worker) if worker.pushing == Some(self.serial) => {
                self.place.block_on(worker.wait_push(until))
            }
            _ => Err(ClusterError::StepOver),
        }
    }
}

impl<T: Scalar> Worker<T> {
    /// Pushes the gradients of the held step, and says what became of them; `None` if that will
    /// never be known: training has ended, this replica has left or joined anew. Meanwhile asks for
    /// the rows of the next batch's keys.
    pub(super) async fn push(
        &mut self,
        computed: Computed<T>,
        next: Option<Keys>,
    ) -> Result<Option<Outcome>, ClusterError> {
        self.begin_push(computed)?;
        if let Some(keys) = next {
            // What is wrong with them is said when they are looked up.
            drop(self.client.prefetch(&keys));
        }
        loop {
            if let Poll::Ready(outcome) = self.wait_push(None).await? {
                return Ok(outcome);
            }
        }
    }

    /// Sends the gradients of the held step on their way.
    pub(super) fn begin_push(&mut self, pushed: impl Into<Pushed<T>>) -> Result<(), ClusterError> {
        let Some(held) = self.held.take() else { return Err(ClusterError::StepOver) };
        // What it has computed is left to another, as it is when it dies.
        if !self.handle.is_leave_requested() && !self.abandoned.is_leave_requested() {
            let times = held.times();
            self.own_record.pushed(&held.grant, times);
            let begun = self.client.begin_push(&held.grant, pushed, times);
            begun.map_err(|error| ClusterError::Push(error.into()))?;
        }
        self.pushing = Some(held.serial);
        Ok(())
    }

    /// Waits for their fate, no longer than `until` if given: then `Pending`, and the next call
    /// goes on waiting.
    pub(super) async fn wait_push(
        &mut self,
        until: Option<Instant>,
    ) -> Result<Poll<Option<Outcome>>, ClusterError> {
        let pushed = tokio::select! {
            biased;
            () = leave_requested(&self.handle, &self.abandoned) => {
                self.leave_for_now().await;
                return Ok(Poll::Ready(None));
            }
            pushed = self.client.wait_push() => pushed,
            () = over(until) => return Ok(Poll::Pending),
        };
        self.pushing = None;
        let spent = self.client.take_spent();
        self.buffers.take_back(spent.map(|(index, it)| (index, Gradient::Dense(it))));
        self.count(&pushed);
        match pushed {
            Ok(outcome) => {
                self.own_record.decided(&outcome);
                Ok(Poll::Ready(Some(outcome)))
            }
            Err(PushError::Lost { .. } | PushError::Ended) => Ok(Poll::Ready(None)),
            Err(PushError::Wait(error)) => Err(self.client.advise(error).await.into()),
            Err(error) => Err(ClusterError::Push(error)),
        }
    }

    /// Counts the outcome of a push.
    fn count(&mut self, pushed: &Result<Outcome, PushError>) {
        match pushed {
            Ok(Outcome::Stale { .. }) => self.counts.stale += 1,
            Ok(Outcome::Duplicate { .. }) => self.counts.duplicates += 1,
            Ok(Outcome::NotFinite) => self.counts.non_finite += 1,
            Ok(_) => self.counts.accepted += 1,
            Err(PushError::Lost { reason }) => {
                tracing::info!(reason, "a push was lost");
                self.counts.lost += 1;
            }
            Err(_) => {}
        }
    }
}
