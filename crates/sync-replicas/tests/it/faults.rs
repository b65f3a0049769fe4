//! Killing replicas at every point of a step, in every small combination of A and N (P-2, P-5).
//!
//! One thread plays all replicas through their real handles and polls their futures by hand, so a
//! death comes exactly where the table says.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ndarray::array;
use optim::Sgd;
use sync_replicas::error::PushError;
use sync_replicas::options::SummationOrder;
use sync_replicas::{Gradients, Outcome, Replica, ReplicaId, SyncReplicas, Trainer, Variables};

/// Where a replica dies.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// Joined, with its first token assigned, before it asked for a step.
    BeforeAsking,
    /// With a token assigned and not fetched, after some steps.
    TokenAssigned,
    /// While it computes: the step and then the handle are dropped.
    Computing,
    /// While it computes, by a panic.
    Panicking,
    /// After a push that was refused, as its gradient did not fit.
    BadPush,
    /// After its push, before it asked again.
    AfterPush,
    /// While it waits in line: the future is dropped, then the handle.
    Waiting,
    /// After it gave a step up.
    GaveUp,
}

const POINTS: [Point; 8] = [
    Point::BeforeAsking,
    Point::TokenAssigned,
    Point::Computing,
    Point::Panicking,
    Point::BadPush,
    Point::AfterPush,
    Point::Waiting,
    Point::GaveUp,
];

struct Stage {
    trainer: Trainer<f64>,
    replicas: Vec<Option<Replica<f64>>>,
}

fn ones() -> Gradients<f64> {
    Gradients::new().dense("w", array![1.0, 1.0])
}

impl Stage {
    fn new(aggregate: usize, total: usize, order: SummationOrder) -> Self {
        let variables = Variables::new().with("w", array![0.0, 0.0]).expect("one name");
        let trainer = SyncReplicas::new(Sgd::new(1.0))
            .replicas_to_aggregate(aggregate)
            .total_num_replicas(total)
            .order(order)
            .build(variables)
            .expect("the numbers fit");
        let replicas = (0..total as u64)
            .map(|id| Some(trainer.replica(ReplicaId::new(id)).expect("it is free")))
            .collect();
        Self { trainer, replicas }
    }

    fn step(&self) -> i64 {
        self.trainer.snapshot().global_step.get()
    }

    /// One replica's turn, if it has a token; whether it had.
    fn turn(&mut self, replica: usize) -> bool {
        let Some(replica) = &mut self.replicas[replica] else { return false };
        let mut context = Context::from_waker(Waker::noop());
        let wait = pin!(replica.next_step_async());
        match wait.poll(&mut context) {
            Poll::Pending => false,
            Poll::Ready(step) => {
                let step = step.expect("nobody is overdue").expect("training goes on");
                step.push(ones()).expect("the gradient fits");
                true
            }
        }
    }

    /// All replicas take turns until the step is reached.
    #[track_caller]
    fn run_to(&mut self, step: i64) {
        let mut idle = 0;
        while self.step() < step {
            let worked = (0..self.replicas.len()).filter(|&replica| self.turn(replica)).count();
            idle = if worked == 0 { idle + 1 } else { 0 };
            assert!(idle < 3, "stalled at step {} of {step}", self.step());
        }
    }

    /// Brings a replica to the point and kills it there.
    fn kill(&mut self, replica: usize, point: Point) {
        let mut victim = self.replicas[replica].take().expect("it lives");
        let mut context = Context::from_waker(Waker::noop());
        let waits = {
            let ready = pin!(victim.next_step_async());
            match ready.poll(&mut context) {
                Poll::Pending => true,
                Poll::Ready(step) => {
                    let step = step.expect("nobody is overdue").expect("training goes on");
                    match point {
                        Point::BeforeAsking | Point::TokenAssigned | Point::Computing => drop(step),
                        Point::Panicking => {
                            let died = catch_unwind(AssertUnwindSafe(move || {
                                let _held = step;
                                std::panic::resume_unwind(Box::new("a replica died"));
                            }));
                            assert!(died.is_err());
                        }
                        Point::BadPush => {
                            let short = Gradients::new().dense("w", array![1.0]);
                            let refused = step.push(short);
                            // the shape of a late one is not looked at.
                            assert!(matches!(
                                refused,
                                Err(PushError::Gradient(_)) | Ok(Outcome::Stale { .. })
                            ));
                        }
                        Point::AfterPush | Point::Waiting => {
                            step.push(ones()).expect("the gradient fits");
                        }
                        Point::GaveUp => step.give_up(),
                    }
                    false
                }
            }
        };
        if !waits && matches!(point, Point::Waiting) {
            let wait = pin!(victim.next_step_async());
            drop(wait.poll(&mut context));
        }
    }

    /// Tokens are where the ledger says (the engine's own invariant, seen from outside).
    #[track_caller]
    fn check_tokens(&self) {
        let ledger = self.trainer.ledger();
        let queued = self.trainer.num_tokens() as u64;
        let held = ledger.outstanding().checked_sub(queued);
        let living = self.replicas.iter().flatten().count() as u64;
        assert!(held.is_some_and(|held| held <= living), "{ledger:?}, {queued} queued");
        assert_eq!(ledger.lost, 0);
    }
}

#[test]
fn no_death_stops_the_others() {
    for order in [SummationOrder::Arrival, SummationOrder::Replica] {
        for aggregate in 1..=4 {
            for total in 1..=4 {
                for point in POINTS {
                    for victim in 0..total {
                        check(aggregate, total, order, point, victim);
                    }
                }
            }
        }
    }
}

#[track_caller]
fn check(aggregate: usize, total: usize, order: SummationOrder, point: Point, victim: usize) {
    let mut stage = Stage::new(aggregate, total, order);
    if !matches!(point, Point::BeforeAsking) {
        stage.run_to(2);
    }
    // The others are left in the middle of a step, too.
    for other in (0..total).filter(|&other| other != victim) {
        if other % 2 == 0 {
            stage.turn(other);
        }
    }
    if matches!(point, Point::BeforeAsking | Point::TokenAssigned) {
        stage.replicas[victim] = None;
    } else {
        stage.kill(victim, point);
    }
    stage.check_tokens();
    if total > 1 {
        let step = stage.step();
        stage.run_to(step + 5);
        stage.check_tokens();
    }
    // It comes back and is welcome; alone it would do, too.
    let back = stage.trainer.replica(ReplicaId::new(victim as u64)).expect("it may come back");
    stage.replicas[victim] = Some(back);
    let step = stage.step();
    stage.run_to(step + 5);
    stage.check_tokens();
    // Every step took the mean of ones, whichever replicas gave them.
    let w = stage.trainer.snapshot().variables.vector("w").expect("it is there")[0];
    assert_eq!(w, -(stage.step() as f64), "A={aggregate} N={total} {order:?} {point:?} {victim}");
}

#[test]
fn all_but_one_die() {
    // P-5: while one lives, training goes on, with several batches a step.
    let mut stage = Stage::new(4, 4, SummationOrder::Arrival);
    stage.run_to(3);
    for victim in [0, 2, 3] {
        stage.kill(victim, Point::Computing);
        let step = stage.step();
        stage.run_to(step + 3);
    }
    let tally = stage.trainer.tally(ReplicaId::new(1)).expect("it joined");
    assert!(tally.accepted > 20, "{tally:?}");
}

#[test]
fn a_cancelled_wait_keeps_its_place_and_its_token() {
    // a token that was given to a dropped future is there at the next call.
    let mut stage = Stage::new(2, 2, SummationOrder::Arrival);
    assert!(stage.turn(0));
    assert!(!stage.turn(0), "waits; its future is dropped");
    assert!(stage.turn(1), "closes the step: both get a token");
    assert!(stage.turn(0));
    assert!(stage.turn(1));
    assert_eq!(stage.step(), 2);
    stage.check_tokens();
}

#[test]
fn stale_and_fresh_are_told_apart() {
    // R-2, P-7 at the front door, without telling superseded replicas
    let variables = Variables::new().with("w", array![0.0, 0.0]).expect("one name");
    let trainer = SyncReplicas::new(Sgd::new(1.0))
        .replicas_to_aggregate(1)
        .total_num_replicas(2)
        .build(variables)
        .expect("the numbers fit");
    let mut fast = trainer.replica(ReplicaId::new(0)).expect("it is free");
    let mut slow = trainer.replica(ReplicaId::new(1)).expect("it is free");
    let late = slow.next_step().expect("no deadline").expect("it has begun");
    let first = fast.next_step().expect("no deadline").expect("it has begun");
    assert!(!late.is_superseded());
    assert_eq!(first.push(ones()).expect("it fits"), Outcome::Accepted { count: 1 });
    assert!(late.is_superseded(), "P-13: told at once");
    // a stale gradient is dropped before its shape is looked at.
    let wrong = Gradients::new().dense("w", array![1.0]);
    assert!(matches!(late.push(wrong), Ok(Outcome::Stale { .. })));
    let tally = trainer.tally(ReplicaId::new(1)).expect("it joined");
    assert_eq!((tally.accepted, tally.stale), (0, 1));
}

#[test]
fn a_token_whose_step_is_over_is_not_begun() {
    // P-12, P-13: the slow one had its token before the step closed, and wakes after it
    let mut stage = Stage::new(1, 2, SummationOrder::Arrival);
    assert!(stage.turn(0));
    let slow = stage.replicas[1].as_mut().expect("it lives");
    let step = slow.next_step().expect("no deadline").expect("training goes on");
    assert_eq!((step.local_step().get(), step.is_superseded()), (1, false));
    assert_eq!(step.push(ones()).expect("it fits"), Outcome::Accepted { count: 1 });
    stage.check_tokens();
    let tally = stage.trainer.tally(ReplicaId::new(1)).expect("it joined");
    assert_eq!((tally.accepted, tally.stale, tally.superseded), (1, 0, 0));
}
