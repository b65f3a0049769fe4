//! Replicas driven by hand: no thread and no clock, one event at a time.
//!
//! Each replica is a future that waits for its token, then for gradients to push. The driver polls
//! it where a scheduler would, so who waits for a token is known. Invariant: after every event
//! each replica is as far as it can get.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::replicas::{DENSE, Driven, SPARSE, Seen};
use sync_replicas::{Gradients, PushError, Replica, ReplicaId, Scalar, Trainer, WaitError};

/// A trainer and its replicas.
pub(super) struct Driver<T: Scalar> {
    trainer: Trainer<T>,
    replicas: Vec<Life<T>>,
}

/// One replica from joining on, and the desk between it and the driver.
struct Life<T> {
    future: Pin<Box<dyn Future<Output = Result<(), WaitError>>>>,
    desk: Rc<RefCell<Desk<T>>>,
    ended: bool,
}

struct Desk<T> {
    has_token: bool,
    gradients: Option<Gradients<T>>,
    answer: Option<Result<(), PushError>>,
}

impl<T: Scalar> Driver<T> {
    /// Joins this many replicas.
    pub(super) fn new(trainer: Trainer<T>, replicas: usize) -> Result<Self, String> {
        let mut driver = Self { trainer, replicas: Vec::new() };
        for id in (0..).take(replicas) {
            let replica = driver.trainer.replica(ReplicaId::new(id)).map_err(|e| e.to_string())?;
            let desk = Desk { has_token: false, gradients: None, answer: None };
            let desk = Rc::new(RefCell::new(desk));
            let future = Box::pin(live(replica, Rc::clone(&desk)));
            driver.replicas.push(Life { future, desk, ended: false });
        }
        driver.poll()?;
        Ok(driver)
    }

    fn poll(&mut self) -> Result<(), String> {
        self.replicas.iter_mut().try_for_each(Life::poll)
    }
}

impl<T: Scalar> Driven<T> for Driver<T> {
    fn push(&mut self, replica: usize, gradients: Gradients<T>) -> Result<(), String> {
        let count = self.replicas.len();
        let Some(life) = self.replicas.get_mut(replica) else {
            return Err(format!("replica {replica} pushes, and there are {count} of them"));
        };
        if !life.desk.borrow().has_token {
            return Err(format!("replica {replica} waits for a token, and was recorded to push"));
        }
        life.desk.borrow_mut().gradients = Some(gradients);
        life.poll()?;
        let answer = life.desk.borrow_mut().answer.take();
        let answer = answer.ok_or_else(|| format!("replica {replica} did not push"))?;
        answer.map_err(|error| error.to_string())?;
        self.poll()
    }

    fn waits(&self, replica: usize) -> bool {
        self.replicas.get(replica).is_some_and(|life| !life.desk.borrow().has_token)
    }

    fn look(&mut self) -> Result<Seen<T>, String> {
        let trainer = &self.trainer;
        let snapshot = trainer.snapshot();
        let ids = (0..).take(self.replicas.len()).map(ReplicaId::new);
        Ok(Seen {
            global_step: snapshot.global_step.get(),
            accumulated: [DENSE, SPARSE].map(|name| trainer.num_accumulated(name).unwrap_or(0)),
            tokens: trainer.num_tokens(),
            local_steps: ids.filter_map(|id| Some(trainer.local_step(id)?.get())).collect(),
            variables: snapshot.variables.clone(),
            averages: trainer.averages(),
        })
    }
}

impl<T> Life<T> {
    fn poll(&mut self) -> Result<(), String> {
        if self.ended {
            return Ok(());
        }
        match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Ok(()),
            Poll::Ready(result) => {
                self.ended = true;
                result.map_err(|error| error.to_string())
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
        let gradients =
            poll_fn(|_| desk.borrow_mut().gradients.take().map_or(Poll::Pending, Poll::Ready));
        let gradients = gradients.await;
        desk.borrow_mut().has_token = false;
        // Accepted or stale: the counts tell.
        let answer = step.push(gradients).map(|_| ());
        desk.borrow_mut().answer = Some(answer);
    }
    Ok(())
}
