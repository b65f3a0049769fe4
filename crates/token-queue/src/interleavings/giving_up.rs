//! A caller that gives up, at any moment, loses no token.

use super::*;

/// Begins to dequeue, and gives up whatever came of it.
fn give_up_a_dequeue(queue: &TokenQueue, n: usize) {
    if let Poll::Ready(taken) = poll_once(Box::pin(queue.dequeue_many(n)).as_mut()) {
        taken.into_iter().flatten().for_each(|token| queue.put_back(token));
    }
}

#[test]
fn a_dequeue_given_up_leaves_the_token() {
    check(|| {
        let queue = TokenQueue::unbounded();
        let replica = spawn({
            let queue = queue.clone();
            move || give_up_a_dequeue(&queue, 1)
        });
        queue.try_enqueue(token(1)).expect("it is open");
        replica.join().expect("it ends");
        assert_eq!(queue.try_dequeue(), Ok(Some(token(1))));
    });
}

#[test]
fn a_token_that_was_served_and_not_read_goes_to_the_next() {
    check(|| {
        let queue = TokenQueue::unbounded();
        let fickle = spawn({
            let queue = queue.clone();
            move || give_up_a_dequeue(&queue, 1)
        });
        let steady = spawn({
            let queue = queue.clone();
            move || queue.blocking_dequeue()
        });
        queue.try_enqueue(token(1)).expect("it is open");
        assert_eq!(steady.join().expect("it ends"), Ok(token(1)));
        fickle.join().expect("it ends");
    });
}

#[test]
fn a_batch_given_up_half_way_frees_those_behind_it() {
    check(|| {
        let queue = TokenQueue::unbounded();
        let mut batch = Box::pin(queue.dequeue_many(2));
        assert!(poll_once(batch.as_mut()).is_pending());
        let steady = spawn({
            let queue = queue.clone();
            move || queue.blocking_dequeue()
        });
        queue.try_enqueue(token(1)).expect("it is open");
        drop(batch);
        assert_eq!(steady.join().expect("it ends"), Ok(token(1)));
    });
}

#[test]
fn an_enqueue_given_up_frees_those_behind_it() {
    check(|| {
        let queue = TokenQueue::bounded(1).expect("not zero");
        queue.try_enqueue(token(1)).expect("there is room");
        let mut fickle = Box::pin(queue.enqueue_many(token(2), 2));
        assert!(poll_once(fickle.as_mut()).is_pending());
        let steady = spawn({
            let queue = queue.clone();
            move || queue.blocking_enqueue(token(3))
        });
        assert_eq!(queue.blocking_dequeue(), Ok(token(1)));
        drop(fickle);
        assert_eq!(queue.blocking_dequeue(), Ok(token(2)), "what it had put stays");
        assert_eq!(queue.blocking_dequeue(), Ok(token(3)));
        assert_eq!(steady.join().expect("it ends"), Ok(()));
    });
}
