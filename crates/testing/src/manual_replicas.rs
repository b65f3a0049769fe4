//! Replicas driven by hand: no thread and no clock, one event at a time.
//!
//! Each replica is a future that waits for its token, then for gradients to push. This polls
//! it where a scheduler would, so a replica that waits is known to wait. Invariant: after every
//! event each replica is as far as it can get.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use sync_replicas::error::{PushError, WaitError};
use sync_replicas::{Gradients, Outcome, Replica, ReplicaId, Scalar, Trainer};

/// A trainer and its replicas.
///
/// # Examples
/// ```
/// use ndarray::array;
/// use optim::Sgd;
/// use sync_replicas::{Gradients, SyncReplicas, Variables};
/// use testing::ManualReplicas;
///
/// let variables = Variables::new().with("w", array![1.0])?;
/// let trainer = SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(2).build(variables)?;
/// let mut replicas = ManualReplicas::new(trainer, 2);
/// replicas.push(0, Gradients::new().dense("w", array![0.5]))?;
/// assert!(replicas.waits(0));
/// replicas.push(1, Gradients::new().dense("w", array![0.5]))?;
/// assert_eq!((replicas.global_step(), replicas.ready()), (1, vec![0, 1]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ManualReplicas<T: Scalar> {
    /// The trainer.
    pub trainer: Trainer<T>,
    replicas: Vec<Life<T>>,
}

impl<T: Scalar> std::fmt::Debug for ManualReplicas<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManualReplicas").field("trainer", &self.trainer).finish_non_exhaustive()
    }
}

/// Why a push failed, or what followed from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManualReplicasError {
    /// The push itself.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A replica's wait for its next token.
    #[error(transparent)]
    Wait(#[from] WaitError),
}

/// One replica from joining on, and what passes between it and the test.
struct Life<T> {
    future: Pin<Box<dyn Future<Output = Result<(), WaitError>>>>,
    handover: Rc<RefCell<Handover<T>>>,
    ended: bool,
}

struct Handover<T> {
    has_token: bool,
    gradients: Option<Gradients<T>>,
    outcome: Option<Result<Outcome, PushError>>,
}

impl<T: Scalar> ManualReplicas<T> {
    /// Joins this many replicas; each gets as far as it can.
    ///
    /// # Panics
    /// When one of them may not join.
    #[track_caller]
    pub fn new(trainer: Trainer<T>, replicas: usize) -> Self {
        let mut all = Self { trainer, replicas: Vec::new() };
        for id in (0..).take(replicas) {
            let replica = all.trainer.replica(ReplicaId::new(id)).expect("it is free");
            let handover = Handover { has_token: false, gradients: None, outcome: None };
            let handover = Rc::new(RefCell::new(handover));
            let future = Box::pin(live(replica, Rc::clone(&handover)));
            all.replicas.push(Life { future, handover, ended: false });
        }
        all.poll().expect("nobody is overdue");
        all
    }

    /// One replica pushes; then all get as far as they can.
    ///
    /// # Errors
    /// [`ManualReplicasError`].
    ///
    /// # Panics
    /// When the replica waits for a token or there is no such replica.
    #[track_caller]
    pub fn push(
        &mut self,
        replica: usize,
        gradients: Gradients<T>,
    ) -> Result<Outcome, ManualReplicasError> {
        assert!(!self.waits(replica), "replica {replica} waits for a token and cannot push");
        let life = &mut self.replicas[replica];
        life.handover.borrow_mut().gradients = Some(gradients);
        life.poll()?;
        let outcome = life.handover.borrow_mut().outcome.take().expect("it was pushed");
        self.poll()?;
        Ok(outcome?)
    }

    /// How many replicas there are.
    #[must_use]
    pub fn num_replicas(&self) -> usize {
        self.replicas.len()
    }

    /// Whether a replica waits for a token.
    #[must_use]
    pub fn waits(&self, replica: usize) -> bool {
        self.replicas.get(replica).is_some_and(|life| !life.handover.borrow().has_token)
    }

    /// The replicas that can push.
    #[must_use]
    pub fn ready(&self) -> Vec<usize> {
        (0..self.replicas.len()).filter(|&replica| !self.waits(replica)).collect()
    }

    /// The global step.
    #[must_use]
    pub fn global_step(&self) -> i64 {
        self.trainer.snapshot().global_step.get()
    }

    /// The step that each replica claims.
    ///
    /// # Panics
    /// When the trainer knows one of them no longer.
    #[must_use]
    #[track_caller]
    pub fn local_steps(&self) -> Vec<i64> {
        let step = |id| self.trainer.local_step(ReplicaId::new(id)).expect("it has not left");
        (0..).take(self.num_replicas()).map(|id| step(id).get()).collect()
    }

    fn poll(&mut self) -> Result<(), WaitError> {
        self.replicas.iter_mut().try_for_each(Life::poll)
    }
}

impl<T> Life<T> {
    fn poll(&mut self) -> Result<(), WaitError> {
        if !self.ended
            && let Poll::Ready(ended) =
                self.future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            self.ended = true;
            ended?;
        }
        Ok(())
    }
}

async fn live<T: Scalar>(
    mut replica: Replica<T>,
    handover: Rc<RefCell<Handover<T>>>,
) -> Result<(), WaitError> {
    while let Some(step) = replica.next_step_async().await? {
        handover.borrow_mut().has_token = true;
        let gradients = poll_fn(|_| {
            let gradients = handover.borrow_mut().gradients.take();
            gradients.map_or(Poll::Pending, Poll::Ready)
        });
        let gradients = gradients.await;
        handover.borrow_mut().has_token = false;
        let outcome = step.push(gradients);
        handover.borrow_mut().outcome = Some(outcome);
    }
    Ok(())
}
