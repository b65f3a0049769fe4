//! The shared types: waiting in line, leaving it, closing, and threads.

use std::future::Future;
use std::sync::mpsc;
use std::thread;

use accum_core::{
    Applied, ConditionalAccumulator, GlobalStep, IndexedSlices, PartialShape, Reduction,
    SparseConditionalAccumulator, TakeError, Taken,
};
use ndarray::{ArrayD, array};

use crate::support::Polled;

type Dense = ConditionalAccumulator<f64>;
type Take = Polled<Result<Taken<ArrayD<f64>>, TakeError>>;

fn new() -> Dense {
    Dense::new([1], Reduction::Mean)
}

fn take(acc: &Dense, num_required: i64) -> Take {
    let acc = acc.clone();
    Polled::new(async move { acc.take_grad(num_required).await })
}

/// A take that is in the line already.
#[track_caller]
fn waiting(acc: &Dense, num_required: i64) -> Take {
    let mut take = take(acc, num_required);
    assert!(take.poll().is_none(), "there is not enough yet");
    take
}

#[track_caller]
fn push(acc: &Dense, value: f64) {
    let step = acc.global_step();
    assert!(acc.apply_grad(array![value], step).expect("fits").is_accepted());
}

#[track_caller]
fn taken(take: &mut Take) -> (f64, u64, i64) {
    let taken = take.poll().expect("complete").expect("no error");
    (taken.value[[0]], taken.count, taken.step.get())
}

#[test]
fn a_take_completes_with_the_push_that_brings_enough() {
    // ApplyAndBlockingTake
    let acc = new();
    let mut first = waiting(&acc, 3);
    push(&acc, 10.0);
    push(&acc, 20.0);
    assert_eq!((first.wakes(), acc.num_accumulated()), (0, 2));
    assert_eq!(acc.apply_grad(array![30.0], 0), Ok(Applied::Accepted { count: 3 }));
    assert_eq!(first.wakes(), 1);
    assert_eq!((acc.num_accumulated(), acc.global_step().get()), (0, 1), "taken at the push");
    assert!(!acc.apply_grad(array![9.0], 0).expect("no error").is_accepted());
    push(&acc, 99.0);
    assert_eq!(taken(&mut first), (20.0, 3, 0));
}

#[test]
fn the_front_holds_up_those_behind() {
    // R-3, E-5
    let acc = new();
    let (mut three, mut one) = (waiting(&acc, 3), waiting(&acc, 1));
    let wakes = |three: &Take, one: &Take| (three.wakes(), one.wakes());
    let mut seen = Vec::new();
    for value in [1.0, 2.0, 3.0, 4.0] {
        push(&acc, value);
        seen.push(wakes(&three, &one));
    }
    assert_eq!(seen, [(0, 0), (0, 0), (1, 0), (1, 1)]);
    assert_eq!(taken(&mut one), (4.0, 1, 1));
    assert_eq!(taken(&mut three), (2.0, 3, 0));
}

#[test]
fn nobody_overtakes_the_line() {
    //
    let acc = new();
    let _two = waiting(&acc, 2);
    push(&acc, 1.0);
    assert_eq!(acc.try_take_grad(1), Ok(None));
    let mut one = waiting(&acc, 1);
    push(&acc, 2.0);
    assert!(one.poll().is_none());
    push(&acc, 5.0);
    assert_eq!(taken(&mut one), (5.0, 1, 1));
}

#[test]
fn a_cancelled_front_frees_the_next() {
    // R-3, E-6, E-7
    let acc = new();
    let (three, mut one) = (waiting(&acc, 3), waiting(&acc, 1));
    push(&acc, 4.0);
    assert_eq!(one.wakes(), 0);
    drop(three);
    assert_eq!(one.wakes(), 1);
    assert_eq!(taken(&mut one), (4.0, 1, 0));

    let two = waiting(&acc, 2);
    drop(two);
    assert!(acc.apply_grad(array![8.0], 1).expect("fits").is_accepted(), "the step stayed");
    assert_eq!(acc.num_accumulated(), 1);
}

#[test]
fn a_cancelled_take_in_the_middle_changes_nothing_for_others() {
    let acc = new();
    let (mut two, one, mut last) = (waiting(&acc, 2), waiting(&acc, 1), waiting(&acc, 1));
    drop(one);
    for value in [1.0, 3.0, 7.0] {
        push(&acc, value);
    }
    assert_eq!(taken(&mut two), (2.0, 2, 0));
    assert_eq!(taken(&mut last), (7.0, 1, 1));
}

#[test]
fn a_take_dropped_unread_is_put_back() {
    // Completed by a push, never polled again: as if it had never been.
    let acc = new();
    let two = waiting(&acc, 2);
    push(&acc, 1.0);
    push(&acc, 2.0);
    assert_eq!((two.wakes(), acc.num_accumulated(), acc.global_step().get()), (1, 0, 1));
    drop(two);
    assert_eq!((acc.num_accumulated(), acc.global_step().get()), (2, 0));
    let taken = acc.try_take_grad(1).expect("one asked").expect("two held");
    assert_eq!((taken.value[[0]], taken.count), (1.5, 2));
}

#[test]
fn what_is_put_back_goes_to_the_next_in_line() {
    let acc = new();
    let (first, mut second) = (waiting(&acc, 1), waiting(&acc, 2));
    push(&acc, 1.0);
    push(&acc, 5.0);
    assert_eq!((first.wakes(), second.wakes(), acc.num_accumulated()), (1, 0, 1));
    drop(first);
    assert_eq!(second.wakes(), 1);
    assert_eq!(taken(&mut second), (3.0, 2, 0));
}

#[test]
fn what_cannot_be_put_back_leaves_what_came_since() {
    let acc = Dense::new(PartialShape::unknown(), Reduction::Mean);
    let one = waiting(&acc, 1);
    push(&acc, 1.0);
    assert!(acc.apply_grad(array![2.0, 3.0], 1).expect("any shape").is_accepted());
    drop(one);
    let taken = acc.try_take_grad(1).expect("one asked").expect("one held");
    assert_eq!((taken.value, taken.step.get()), (array![2.0, 3.0].into_dyn(), 1));
}

#[test]
fn a_take_that_was_not_polled_is_not_in_the_line() {
    let acc = new();
    let first = take(&acc, 1);
    let mut second = waiting(&acc, 1);
    push(&acc, 6.0);
    assert_eq!(taken(&mut second), (6.0, 1, 0));
    assert_eq!(first.wakes(), 0);
}

#[test]
fn num_required_below_one_is_an_error_at_once() {
    //
    let acc = new();
    let _three = waiting(&acc, 3);
    for got in [0, -7] {
        let error = TakeError::NumRequired { got };
        assert_eq!(acc.blocking_take_grad(got), Err(error.clone()));
        assert_eq!(acc.try_take_grad(got), Err(error.clone()));
        assert_eq!(take(&acc, got).poll(), Some(Err(error)));
    }
}

#[test]
fn closing_ends_all_waiting_and_loses_nothing() {
    let acc = new();
    let mut takes = [waiting(&acc, 3), waiting(&acc, 1), waiting(&acc, 2)];
    push(&acc, 5.0);
    acc.close();
    acc.close();
    assert!(acc.is_closed());
    for take in &mut takes {
        assert_eq!((take.wakes(), take.poll()), (1, Some(Err(TakeError::Closed))));
    }
    assert_eq!(acc.blocking_take_grad(2), Err(TakeError::Closed));
    push(&acc, 7.0);
    assert_eq!(acc.blocking_take_grad(2).map(|taken| taken.value[[0]]), Ok(6.0));
    assert_eq!(acc.try_take_grad(1), Ok(None));
}

#[test]
fn the_last_step_ends_the_waiting_too() {
    let acc = new();
    acc.set_global_step(i64::MAX);
    let mut takes = [waiting(&acc, 1), waiting(&acc, 1)];
    push(&acc, 5.0);
    for take in &mut takes {
        let answer = take.poll().expect("nobody waits for what cannot be");
        assert!(matches!(answer, Err(TakeError::StepOverflow(_))));
    }
    assert_eq!(acc.num_accumulated(), 1);
    acc.set_global_step(0);
    assert_eq!(acc.blocking_take_grad(1).map(|taken| taken.value[[0]]), Ok(5.0));
}

#[test]
fn setting_the_step_keeps_the_line() {
    //
    let acc = new();
    let mut two = waiting(&acc, 2);
    push(&acc, 1.0);
    assert_eq!(acc.set_global_step(40), GlobalStep::new(0));
    push(&acc, 3.0);
    assert_eq!(taken(&mut two), (2.0, 2, 40));
}

#[test]
fn a_waker_may_use_the_accumulator() {
    // Woken while the lock is held, this would never end.
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};
    struct Asks(Dense);
    impl Wake for Asks {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.0.num_accumulated(), 0);
        }
    }
    let acc = new();
    let waker = Waker::from(Arc::new(Asks(acc.clone())));
    let mut take = Box::pin(acc.take_grad(1));
    assert!(take.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    push(&acc, 1.0);
}

#[test]
fn a_panicking_waker_poisons_nobody() {
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of somebody's own");
        }
    }
    let acc = new();
    let waker = Waker::from(Arc::new(Panics));
    let mut take = Box::pin(acc.take_grad(1));
    assert!(take.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let pusher = acc.clone();
    assert!(thread::spawn(move || push(&pusher, 1.0)).join().is_err());
    drop(take);
    assert_eq!((acc.num_accumulated(), acc.global_step().get()), (1, 0), "put back");
}

#[test]
fn pushes_from_ten_threads() {
    // ParallelApplyGrad
    let acc = new();
    thread::scope(|scope| {
        for nth in 1..=10 {
            let acc = acc.clone();
            scope.spawn(move || push(&acc, f64::from(nth) * 10.0));
        }
    });
    let taken = acc.blocking_take_grad(10).expect("ten are held");
    assert_eq!((taken.value[[0]], taken.count), (55.0, 10));
}

#[test]
fn takes_from_ten_threads() {
    // ParallelTakeGrad
    let acc = new();
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..10 {
            let (acc, done) = (acc.clone(), done.clone());
            scope.spawn(move || {
                let taken = acc.blocking_take_grad(1).expect("one comes for each");
                done.send(taken.value[[0]]).expect("the test listens");
            });
        }
        let mut got: Vec<_> = (0..10)
            .map(|step| {
                assert!(acc.apply_grad(array![step as f64], step).expect("fits").is_accepted());
                results.recv().expect("one completes for each push")
            })
            .collect();
        got.sort_by(f64::total_cmp);
        assert_eq!(got, (0..10).map(f64::from).collect::<Vec<_>>());
    });
}

#[test]
fn closing_ends_threads_that_block() {
    // P-1: AccumulatorCancel
    let acc = new();
    thread::scope(|scope| {
        let takers: Vec<_> = (0..4).map(|_| scope.spawn(|| acc.blocking_take_grad(1))).collect();
        acc.close();
        for taker in takers {
            assert_eq!(taker.join().expect("no panic"), Err(TakeError::Closed));
        }
    });
}

#[test]
fn a_push_and_a_cancellation_at_the_same_time_lose_nothing() {
    // Whatever the interleaving: the gradient is held, and the step is as if no take had waited.
    for _ in 0..500 {
        let acc = new();
        let together = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            let mut take = Box::pin(acc.take_grad(1));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(take.as_mut().poll(&mut context).is_pending());
            scope.spawn(|| {
                together.wait();
                push(&acc, 1.0);
            });
            together.wait();
            drop(take);
        });
        assert_eq!((acc.num_accumulated(), acc.global_step().get()), (1, 0));
    }
}

#[tokio::test]
async fn works_in_a_runtime_and_can_be_cancelled_there() {
    let acc = new();
    let waiter = tokio::spawn({
        let acc = acc.clone();
        async move { acc.take_grad(2).await }
    });
    tokio::task::yield_now().await;
    push(&acc, 1.0);
    waiter.abort();
    assert!(waiter.await.expect_err("aborted").is_cancelled());
    push(&acc, 2.0);
    let taken = acc.take_grad(2).await.expect("two are held");
    assert_eq!((taken.value[[0]], taken.step.get()), (1.5, 0));
}

#[test]
fn sparse_takes_wait_in_the_same_line() {
    // ParallelTakeGrad, whose results come in order
    let acc = SparseConditionalAccumulator::<f32>::new([], Reduction::Mean);
    let mut takes: Vec<_> = (0..3)
        .map(|_| {
            let acc = acc.clone();
            let mut take = Polled::new(async move { acc.take_grad(1).await });
            assert!(take.poll().is_none());
            take
        })
        .collect();
    for (e, take) in (1_i64..).zip(&mut takes) {
        let values = array![[e as f32, 0.0]];
        let gradient = IndexedSlices::new(vec![1], values.clone(), None).expect("fits");
        assert!(acc.apply_grad(gradient, e - 1).expect("fits").is_accepted());
        let taken = take.poll().expect("in order").expect("no error");
        assert_eq!((taken.value.values, taken.step.get()), (values.into_dyn(), e - 1));
    }
}
