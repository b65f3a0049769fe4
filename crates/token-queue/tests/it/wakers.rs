//! Who is woken, and what a caller's own code may do while the queue wakes or drops it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use token_queue::{DequeueError, Token, TokenQueue};

use crate::script::{Call, WakeCount, poll};

fn dequeue(queue: &TokenQueue) -> Call<Result<Token, DequeueError>> {
    let queue = queue.clone();
    Box::pin(async move { queue.dequeue().await })
}

// a token that was assigned and not received goes to the front, and to the next in line.
#[test]
fn a_token_assigned_to_a_dropped_call_serves_the_next() {
    let queue = TokenQueue::unbounded();
    let wakes = [WakeCount::new(), WakeCount::new()];
    let [mut first, mut second] = [dequeue(&queue), dequeue(&queue)];
    assert!(poll(&mut first, &wakes[0]).is_pending());
    assert!(poll(&mut second, &wakes[1]).is_pending());

    queue.try_enqueue(Token::new(1)).expect("an open queue");
    assert_eq!([wakes[0].get(), wakes[1].get()], [1, 0]);
    drop(first);
    assert_eq!([wakes[0].get(), wakes[1].get()], [1, 1]);
    assert_eq!(poll(&mut second, &wakes[1]), Poll::Ready(Ok(Token::new(1))));
}

// without a next in line it is the next token out.
#[test]
fn a_token_assigned_to_a_dropped_call_is_first() {
    let queue = TokenQueue::unbounded();
    let mut call = dequeue(&queue);
    assert!(poll(&mut call, &WakeCount::new()).is_pending());
    queue.try_enqueue(Token::new(1)).expect("an open queue");
    queue.try_enqueue(Token::new(2)).expect("an open queue");
    drop(call);
    assert_eq!(queue.size(), 2);
    assert_eq!(queue.try_dequeue(), Ok(Some(Token::new(1))));
}

// a call takes its place when it is first polled, and not before.
#[test]
fn a_call_that_was_never_polled_has_no_place() {
    let queue = TokenQueue::unbounded();
    let (early, mut late) = (dequeue(&queue), dequeue(&queue));
    let wakes = WakeCount::new();
    assert!(poll(&mut late, &wakes).is_pending());
    queue.try_enqueue(Token::new(1)).expect("an open queue");
    assert_eq!(wakes.get(), 1);
    drop(early);
    assert!(poll(&mut late, &wakes).is_ready());
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let queue = TokenQueue::unbounded();
    let mut call = dequeue(&queue);
    let (old, new) = (WakeCount::new(), WakeCount::new());
    assert!(poll(&mut call, &old).is_pending());
    assert!(poll(&mut call, &new).is_pending());
    queue.try_enqueue(Token::new(1)).expect("an open queue");
    assert_eq!((old.get(), new.get()), (0, 1));
}

/// A task that owns another call: dropping its waker drops that call.
struct Owner {
    _owned: Mutex<Call<Result<Token, DequeueError>>>,
}

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

// P-1: no caller's code runs under the queue's lock, so it may use the queue.
#[test]
fn dropping_a_waker_may_drop_another_call() {
    let queue = TokenQueue::unbounded();
    for replaced in [true, false] {
        let mut owned = dequeue(&queue);
        assert!(poll(&mut owned, &WakeCount::new()).is_pending());
        let mut call = dequeue(&queue);
        let owner = Waker::from(Arc::new(Owner { _owned: Mutex::new(owned) }));
        assert!(call.as_mut().poll(&mut Context::from_waker(&owner)).is_pending());
        drop(owner);
        if replaced {
            assert!(poll(&mut call, &WakeCount::new()).is_pending());
        }
        drop(call);
        queue.try_enqueue(Token::new(1)).expect("an open queue");
        assert_eq!(queue.try_dequeue(), Ok(Some(Token::new(1))));
    }
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a task that cannot be woken");
    }
}

#[test]
fn a_waker_that_panics_leaves_the_queue_whole() {
    let queue = TokenQueue::unbounded();
    let mut call = dequeue(&queue);
    let waker = Waker::from(Arc::new(Panics));
    assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let put = catch_unwind(AssertUnwindSafe(|| queue.try_enqueue(Token::new(1))));
    assert!(put.is_err());
    drop(call);
    assert_eq!(queue.try_dequeue(), Ok(Some(Token::new(1))));
}

// DequeueWithTimeout and ReusableAfterTimeout under a real runtime.
#[tokio::test]
async fn a_deadline_is_the_callers() {
    let queue = TokenQueue::unbounded();
    for _ in 0..2 {
        let timed_out = tokio::time::timeout(Duration::ZERO, queue.dequeue()).await;
        assert!(timed_out.is_err());
    }
    queue.enqueue(Token::new(37)).await.expect("an open queue");
    assert_eq!(queue.dequeue().await, Ok(Token::new(37)));
}

// tasks wait as threads do; every call's future can move between threads.
#[tokio::test]
async fn tasks_share_a_bounded_queue() {
    let queue = TokenQueue::bounded(2).expect("a capacity of 2");
    let producer = tokio::spawn({
        let queue = queue.clone();
        async move {
            for step in 0..10 {
                queue.enqueue_many(Token::new(step), 3).await?;
            }
            queue.enqueue_all([10, 11].map(Token::new)).await?;
            queue.close().await.expect("nobody else closes");
            Ok::<(), token_queue::EnqueueError>(())
        }
    });
    let mut steps = Vec::new();
    while let Ok(batch) = queue.dequeue_up_to(4).await {
        steps.extend(batch.into_iter().map(Token::step));
    }
    producer.await.expect("the producer ends").expect("the queue stays open");
    let expected: Vec<_> = (0..10).flat_map(|step| [step; 3]).chain([10, 11]).collect();
    assert_eq!(steps, expected);
}
