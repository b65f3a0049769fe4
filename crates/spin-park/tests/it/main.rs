//! Every wake-up leads to another poll, wherever it comes from and however calls are nested.

use std::future::{Future, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::task::{Poll, Waker};
use std::thread;

use spin_park::block_on;
use tokio::sync::oneshot;

#[test]
fn what_is_ready_is_not_waited_for() {
    assert_eq!(block_on(ready(7)), 7);
}

/// Pending for `times` polls; `wake` is given the waker each time.
fn pending(times: usize, wake: impl Fn(Waker)) -> impl Future<Output = usize> {
    let mut polls = 0;
    poll_fn(move |context| {
        polls += 1;
        if polls > times {
            return Poll::Ready(polls);
        }
        wake(context.waker().clone());
        Poll::Pending
    })
}

#[test]
fn a_wake_up_before_the_wait_counts() {
    assert_eq!(block_on(pending(100, |waker| waker.wake())), 101);
}

#[test]
fn a_wake_up_of_another_thread_counts() {
    let (wakers, waiting) = channel::<Waker>();
    let other = thread::spawn(move || waiting.iter().map(Waker::wake).count());
    let sent = block_on(pending(2000, |waker| wakers.send(waker).expect("it listens")));
    drop(wakers);
    assert_eq!((sent, other.join().expect("it ends")), (2001, 2000));
}

#[test]
fn a_call_within_a_call_takes_no_wake_up_of_the_outer_one() {
    let (inner, inner_done) = oneshot::channel();
    let (outer, outer_done) = oneshot::channel();
    let other = thread::spawn(move || {
        outer.send("outer").expect("it waits");
        inner.send("inner").expect("it waits");
    });
    let mut outer_done = std::pin::pin!(outer_done);
    let mut inner_done = Some(inner_done);
    let heard = block_on(poll_fn(|context| {
        let heard = outer_done.as_mut().poll(context);
        // Waits while the outer wake-up may come at any moment.
        if let Some(inner_done) = inner_done.take() {
            assert_eq!(block_on(inner_done), Ok("inner"));
        }
        heard
    }));
    assert_eq!(heard, Ok("outer"));
    other.join().expect("it ends");
}

#[test]
fn a_panic_leaves_the_thread_able_to_wait() {
    let panicking = poll_fn(|_| -> Poll<()> { panic!("on purpose") });
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(panicking))).is_err());
    assert_eq!(block_on(pending(3, |waker| waker.wake())), 4);
}
