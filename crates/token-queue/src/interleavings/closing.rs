//! A close wakes every waiter, and each learns of it (R-12, P-1).

use super::*;

#[test]
fn a_close_wakes_every_dequeue() {
    check(|| {
        let queue = TokenQueue::unbounded();
        let replicas = [(); 2].map(|()| {
            let queue = queue.clone();
            spawn(move || queue.blocking_dequeue())
        });
        queue.blocking_close().expect("nobody else closes it");
        for replica in replicas {
            let closed = DequeueError::Closed { requested: 1, available: 0 };
            assert_eq!(replica.join().expect("it ends"), Err(closed));
        }
    });
}

#[test]
fn a_close_beside_an_enqueue_loses_no_token() {
    check(|| {
        let queue = TokenQueue::unbounded();
        let chief = spawn({
            let queue = queue.clone();
            move || queue.try_enqueue(token(1)).is_ok()
        });
        let closer = spawn({
            let queue = queue.clone();
            move || queue.blocking_close()
        });
        let taken = queue.blocking_dequeue().is_ok();
        let put = chief.join().expect("it ends");
        assert_eq!(closer.join().expect("it ends"), Ok(()));
        assert_eq!(taken, put, "the dequeue waited until there was a token or a close");
    });
}

#[test]
fn a_close_waits_for_the_enqueue_before_it() {
    check(|| {
        let queue = TokenQueue::bounded(1).expect("not zero");
        queue.try_enqueue(token(1)).expect("there is room");
        let mut enqueue = Box::pin(queue.enqueue(token(2)));
        assert!(poll_once(enqueue.as_mut()).is_pending());
        let closer = spawn({
            let queue = queue.clone();
            move || queue.blocking_close()
        });
        assert_eq!(queue.blocking_dequeue(), Ok(token(1)));
        assert_eq!(block_on(enqueue), Ok(()));
        assert_eq!(closer.join().expect("it ends"), Ok(()));
        assert_eq!((queue.size(), queue.is_closed()), (1, true));
    });
}

#[test]
fn a_close_that_cancels_wakes_enqueues_and_gives_their_tokens_back() {
    check(|| {
        let queue = TokenQueue::bounded(1).expect("not zero");
        let chiefs = [1, 2].map(|step| {
            let queue = queue.clone();
            spawn(move || queue.blocking_enqueue(token(step)))
        });
        queue.close_cancelling_pending_enqueues();
        let mut put = 0;
        for chief in chiefs {
            match chief.join().expect("it ends") {
                Ok(()) => put += 1,
                Err(EnqueueError::Closed { not_enqueued, .. }) => {
                    assert_eq!(not_enqueued.len(), 1);
                }
            }
        }
        assert_eq!(queue.size(), put);
    });
}
