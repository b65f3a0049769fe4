//! The accumulator's waiting takes under loom: every interleaving of a few callers, by
//! `cargo xtask loom`.
//!
//! A wake-up that is lost is a deadlock here, which loom reports with the way to it. What is taken
//! is tested elsewhere; this is about locks, the line and its hand-over.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread::spawn;
use ndarray::array;

use crate::{ConditionalAccumulator, Reduction, TakeError};

type Scalars = ConditionalAccumulator<f32>;

/// Runs a model in every interleaving within the bound on preemptions, and prints how many.
fn check(model: impl Fn(Scalars) + Send + Sync + 'static) {
    // Not one of loom's: it goes on counting from one interleaving to the next.
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model(Scalars::new([1], Reduction::Sum));
    });
    let current = std::thread::current();
    println!("interleavings {} {}", current.name().unwrap_or("?"), count.load(Ordering::Relaxed));
}

/// Polls once with a waker that does nothing.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Pushes one gradient of step 9, which is fresh in all of these models.
fn push(accumulator: &Scalars, value: f32) {
    let applied = accumulator.apply_grad(array![value], 9).expect("it fits");
    assert!(applied.is_accepted());
}

/// A take that blocks: how many gradients it got, and their sum.
fn take(accumulator: &Scalars, required: i64) -> Result<(u64, f32), TakeError> {
    accumulator.blocking_take_grad(required).map(|taken| (taken.count, taken.value[0]))
}

#[test]
fn a_take_gets_the_gradient_that_comes() {
    check(|accumulator| {
        let replica = spawn({
            let accumulator = accumulator.clone();
            move || push(&accumulator, 1.0)
        });
        assert_eq!(take(&accumulator, 1), Ok((1, 1.0)));
        replica.join().expect("it ends");
        assert_eq!(accumulator.global_step().get(), 1);
    });
}

#[test]
fn a_take_of_two_waits_for_both_replicas() {
    check(|accumulator| {
        let replicas = [1.0, 2.0].map(|value| {
            let accumulator = accumulator.clone();
            spawn(move || push(&accumulator, value))
        });
        assert_eq!(take(&accumulator, 2), Ok((2, 3.0)));
        for replica in replicas {
            replica.join().expect("it ends");
        }
        assert_eq!(accumulator.num_accumulated(), 0);
    });
}

#[test]
fn one_push_completes_a_take_and_the_next_one_another() {
    // no take is forgotten, and no gradient is taken twice
    check(|accumulator| {
        let chiefs = [(); 2].map(|()| {
            let accumulator = accumulator.clone();
            spawn(move || take(&accumulator, 1))
        });
        push(&accumulator, 1.0);
        // The second chief comes late, or there is nothing for it yet.
        while accumulator.num_accumulated() > 0 {
            loom::thread::yield_now();
        }
        push(&accumulator, 2.0);
        let mut taken = chiefs.map(|chief| chief.join().expect("it ends"));
        taken.sort_by_key(|taken| taken.as_ref().map_or(0, |&(_, value)| value as u64));
        assert_eq!(taken, [Ok((1, 1.0)), Ok((1, 2.0))]);
    });
}

#[test]
fn a_close_wakes_every_take() {
    // P-1
    check(|accumulator| {
        let chiefs = [1, 2].map(|required| {
            let accumulator = accumulator.clone();
            spawn(move || take(&accumulator, required))
        });
        accumulator.close();
        for chief in chiefs {
            assert_eq!(chief.join().expect("it ends"), Err(TakeError::Closed));
        }
    });
}

#[test]
fn a_close_beside_a_push_loses_no_gradient() {
    check(|accumulator| {
        let chief = spawn({
            let accumulator = accumulator.clone();
            move || take(&accumulator, 1)
        });
        let replica = spawn({
            let accumulator = accumulator.clone();
            move || push(&accumulator, 1.0)
        });
        accumulator.close();
        replica.join().expect("it ends");
        let taken = chief.join().expect("it ends").map_or(0, |(count, _)| count);
        assert_eq!(taken + accumulator.num_accumulated(), 1);
    });
}

#[test]
fn a_take_given_up_leaves_the_gradient() {
    check(|accumulator| {
        let fickle = spawn({
            let accumulator = accumulator.clone();
            move || {
                let take = poll_once(Box::pin(accumulator.take_grad(1)).as_mut());
                matches!(take, Poll::Ready(Ok(_)))
            }
        });
        push(&accumulator, 1.0);
        let taken = fickle.join().expect("it ends");
        assert_eq!(accumulator.num_accumulated(), u64::from(!taken));
        assert_eq!(accumulator.global_step().get(), i64::from(taken));
    });
}

#[test]
fn a_take_that_was_completed_and_not_read_goes_to_the_next() {
    check(|accumulator| {
        let mut fickle = Box::pin(accumulator.take_grad(1));
        assert!(poll_once(fickle.as_mut()).is_pending());
        let steady = spawn({
            let accumulator = accumulator.clone();
            move || take(&accumulator, 1)
        });
        let replica = spawn({
            let accumulator = accumulator.clone();
            move || push(&accumulator, 1.0)
        });
        drop(fickle);
        assert_eq!(steady.join().expect("it ends"), Ok((1, 1.0)));
        replica.join().expect("it ends");
        assert_eq!(accumulator.global_step().get(), 1);
    });
}

#[test]
fn a_take_given_up_frees_those_behind_it() {
    check(|accumulator| {
        push(&accumulator, 1.0);
        let mut first = Box::pin(accumulator.take_grad(2));
        assert!(poll_once(first.as_mut()).is_pending());
        let steady = spawn({
            let accumulator = accumulator.clone();
            move || take(&accumulator, 1)
        });
        drop(first);
        assert_eq!(steady.join().expect("it ends"), Ok((1, 1.0)));
    });
}

#[test]
fn a_take_that_moves_to_another_waker_is_woken_by_it() {
    check(|accumulator| {
        let replica = spawn({
            let accumulator = accumulator.clone();
            move || push(&accumulator, 1.0)
        });
        let mut take = Box::pin(accumulator.take_grad(1));
        let taken = match poll_once(take.as_mut()) {
            Poll::Ready(taken) => taken,
            Poll::Pending => block_on(take),
        };
        assert_eq!(taken.map(|taken| taken.count), Ok(1));
        replica.join().expect("it ends");
    });
}
