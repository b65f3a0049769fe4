//! Replicas driven by hand: no thread, no clock, one event at a time.
//!
//! Each replica is a future that waits for its token and then for the gradients it is handed; the
//! driver polls it where a scheduler would. So whoever waits is known to wait, not guessed.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use sync_replicas::{
    Gradients, Outcome, PushError, Replica, ReplicaId, Scalar, Trainer, WaitError,
};

/// A trainer and its replicas.
pub(crate) struct Driver<T: Scalar> {
    pub(crate) trainer: Trainer<T>,
    replicas: Vec<Life<T>>,
}

/// One replica's life, and the desk on which it is handed its gradients.
struct Life<T> {
    future: Pin<Box<dyn Future<Output = Result<(), WaitError>>>>,
    desk: Rc<RefCell<Desk<T>>>,
    ended: bool,
}

struct Desk<T> {
    has_token: bool,
    gradients: Option<Gradients<T>>,
    outcome: Option<Result<Outcome, PushError>>,
}

impl<T: Scalar> Driver<T> {
    /// Joins this many replicas; each gets as far as it can.
    pub(crate) fn new(trainer: Trainer<T>, replicas: u64) -> Self {
        let mut driver = Self { trainer, replicas: Vec::new() };
        for id in 0..replicas {
            let replica = driver.trainer.replica(ReplicaId::new(id)).expect("it is free");
            let desk =
                Rc::new(RefCell::new(Desk { has_token: false, gradients: None, outcome: None }));
            let future = Box::pin(live(replica, Rc::clone(&desk)));
            driver.replicas.push(Life { future, desk, ended: false });
        }
        driver.poll();
        driver
    }

    /// One replica pushes; then everybody gets as far as they can.
    #[track_caller]
    pub(crate) fn push(
        &mut self,
        replica: usize,
        gradients: Gradients<T>,
    ) -> Result<Outcome, PushError> {
        assert!(!self.waits(replica), "replica {replica} waits for a token and cannot push");
        let desk = Rc::clone(&self.replicas[replica].desk);
        desk.borrow_mut().gradients = Some(gradients);
        self.replicas[replica].poll();
        let outcome = desk.borrow_mut().outcome.take().expect("it was pushed");
        self.poll();
        outcome
    }

    /// Whether a replica waits for a token.
    pub(crate) fn waits(&self, replica: usize) -> bool {
        !self.replicas[replica].desk.borrow().has_token
    }

    /// The replicas that can push.
    pub(crate) fn ready(&self) -> Vec<usize> {
        (0..self.replicas.len()).filter(|&replica| !self.waits(replica)).collect()
    }

    /// All replicas leave.
    pub(crate) fn into_trainer(self) -> Trainer<T> {
        self.trainer
    }

    /// Every replica gets as far as it can.
    pub(crate) fn poll(&mut self) {
        self.replicas.iter_mut().for_each(Life::poll);
    }

    pub(crate) fn global_step(&self) -> i64 {
        self.trainer.snapshot().global_step.get()
    }

    pub(crate) fn local_steps(&self) -> Vec<i64> {
        let steps = (0..self.replicas.len() as u64).map(ReplicaId::new);
        steps.filter_map(|id| Some(self.trainer.local_step(id)?.get())).collect()
    }
}

impl<T> Life<T> {
    fn poll(&mut self) {
        if !self.ended {
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(ended) = self.future.as_mut().poll(&mut context) {
                ended.expect("nobody is overdue");
                self.ended = true;
            }
        }
    }
}

async fn live<T: Scalar>(
    mut replica: Replica<T>,
    desk: Rc<RefCell<Desk<T>>>,
) -> Result<(), WaitError> {
    while let Some(step) = replica.next_step_async().await? {
        desk.borrow_mut().has_token = true;
        let gradients = poll_fn(|_| {
            let gradients = desk.borrow_mut().gradients.take();
            gradients.map_or(Poll::Pending, Poll::Ready)
        });
        let gradients = gradients.await;
        desk.borrow_mut().has_token = false;
        let outcome = step.push(gradients);
        desk.borrow_mut().outcome = Some(outcome);
    }
    Ok(())
}
