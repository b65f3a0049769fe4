//! A waiter is woken when there is something for it.

use super::*;

#[test]
fn a_dequeue_gets_the_token_that_comes() {
    check(|| {
        let queue = TokenQueue::unbounded();
        let replica = spawn({
            let queue = queue.clone();
            move || queue.blocking_dequeue()
        });
        queue.try_enqueue(token(1)).expect("it is open");
        assert_eq!(replica.join().expect("it ends"), Ok(token(1)));
    });
}

#[test]
fn one_enqueue_of_two_wakes_two() {
    check(|| {
        let queue = TokenQueue::unbounded();
        let replicas = [(); 2].map(|()| {
            let queue = queue.clone();
            spawn(move || queue.blocking_dequeue())
        });
        queue.try_enqueue_many(token(1), 2).expect("it is open");
        for replica in replicas {
            assert_eq!(replica.join().expect("it ends"), Ok(token(1)));
        }
        assert_eq!(queue.size(), 0);
    });
}

#[test]
fn a_batch_is_gathered_from_two_enqueues() {
    check(|| {
        let queue = TokenQueue::unbounded();
        let others = [1, 2].map(|step| {
            let queue = queue.clone();
            spawn(move || queue.try_enqueue(token(step)))
        });
        let mut batch = queue.blocking_dequeue_many(2).expect("two come");
        batch.sort();
        assert_eq!(batch, [token(1), token(2)]);
        for other in others {
            other.join().expect("it ends").expect("it is open");
        }
    });
}

#[test]
fn an_enqueue_gets_the_room_that_a_dequeue_makes() {
    check(|| {
        let queue = TokenQueue::bounded(1).expect("not zero");
        queue.try_enqueue(token(1)).expect("there is room");
        let chief = spawn({
            let queue = queue.clone();
            move || queue.blocking_enqueue_many(token(2), 2)
        });
        let taken = [(); 3].map(|()| queue.blocking_dequeue());
        assert_eq!(taken, [Ok(token(1)), Ok(token(2)), Ok(token(2))]);
        assert_eq!(chief.join().expect("it ends"), Ok(()));
    });
}

#[test]
fn a_token_put_back_wakes_a_dequeue() {
    // P-5: what a lease's end does
    check(|| {
        let queue = TokenQueue::unbounded();
        queue.try_enqueue(token(1)).expect("it is open");
        let replica = spawn({
            let queue = queue.clone();
            move || {
                let token = queue.blocking_dequeue().expect("it is open");
                queue.put_back(token);
            }
        });
        assert_eq!(queue.blocking_dequeue(), Ok(token(1)));
        queue.put_back(token(1));
        replica.join().expect("it ends");
        assert_eq!(queue.size(), 1);
    });
}

#[test]
fn old_tokens_are_discarded_also_from_a_batch_that_is_gathered() {
    // P-12
    check(|| {
        let queue = TokenQueue::unbounded();
        queue.try_enqueue(token(1)).expect("it is open");
        let chief = spawn({
            let queue = queue.clone();
            move || queue.try_enqueue_many_discarding_older(token(2), 2)
        });
        let batch = queue.blocking_dequeue_many(2).expect("two come");
        assert_eq!(batch, [token(2), token(2)]);
        assert_eq!(chief.join().expect("it ends"), Ok(1));
    });
}

#[test]
fn a_future_that_moves_to_another_waker_is_woken_by_it() {
    check(|| {
        let queue = TokenQueue::unbounded();
        let chief = spawn({
            let queue = queue.clone();
            move || queue.try_enqueue(token(1))
        });
        let mut dequeue = Box::pin(queue.dequeue());
        let taken = match poll_once(dequeue.as_mut()) {
            Poll::Ready(taken) => taken,
            Poll::Pending => block_on(dequeue),
        };
        assert_eq!(taken, Ok(token(1)));
        chief.join().expect("it ends").expect("it is open");
    });
}
