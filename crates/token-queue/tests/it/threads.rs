//! Threads that really compete: whatever the order, the multiset of tokens is preserved.

use std::thread;

use token_queue::{DequeueError, Token, TokenQueue};

fn tokens(steps: impl Iterator<Item = i64>) -> impl Iterator<Item = Token> {
    steps.map(Token::new)
}

fn sorted(mut steps: Vec<i64>) -> Vec<i64> {
    steps.sort_unstable();
    steps
}

/// What `n` consumers took before the queue was closed and empty.
fn consume(
    queue: &TokenQueue,
    n: usize,
    take: impl Fn(&TokenQueue) -> Result<Vec<Token>, DequeueError> + Copy + Send + 'static,
) -> Vec<thread::JoinHandle<Vec<i64>>> {
    (0..n)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut steps = Vec::new();
                while let Ok(batch) = take(&queue) {
                    steps.extend(batch.into_iter().map(Token::step));
                }
                steps
            })
        })
        .collect()
}

fn join(consumers: Vec<thread::JoinHandle<Vec<i64>>>) -> Vec<i64> {
    consumers.into_iter().flat_map(|consumer| consumer.join().expect("a consumer ends")).collect()
}

/// Ten producers of a hundred different tokens each.
fn produce(queue: &TokenQueue, batches: bool) {
    thread::scope(|scope| {
        for producer in 0..10 {
            scope.spawn(move || {
                let steps = producer * 100..(producer + 1) * 100;
                if batches {
                    queue.blocking_enqueue_all(tokens(steps)).expect("an open queue");
                } else {
                    tokens(steps)
                        .for_each(|token| queue.blocking_enqueue(token).expect("an open queue"));
                }
            });
        }
    });
}

// ParallelEnqueue, ParallelDequeue, ParallelEnqueueMany, ParallelDequeueUpTo.
#[test]
fn ten_producers_and_ten_consumers() {
    for (capacity, batches) in [(None, false), (None, true), (Some(7), false), (Some(7), true)] {
        let queue = capacity.map_or_else(TokenQueue::unbounded, |capacity| {
            TokenQueue::bounded(capacity).expect("a capacity of at least 1")
        });
        let mut consumers = consume(&queue, 5, |queue| Ok(vec![queue.blocking_dequeue()?]));
        consumers.extend(consume(&queue, 5, |queue| queue.blocking_dequeue_up_to(3)));
        produce(&queue, batches);
        queue.blocking_close().expect("nobody else closes");
        assert_eq!(sorted(join(consumers)), (0..1000).collect::<Vec<_>>());
    }
}

// ParallelDequeueUpTo of 101 from a closed queue of 1000.
#[test]
fn ten_consumers_of_a_closed_queue() {
    let queue = TokenQueue::unbounded();
    produce(&queue, true);
    queue.close_cancelling_pending_enqueues();
    let consumers = consume(&queue, 10, |queue| queue.blocking_dequeue_up_to(101));
    assert_eq!(sorted(join(consumers)), (0..1000).collect::<Vec<_>>());
}

// ParallelEnqueueAndDequeue.
#[test]
fn as_many_in_as_out() {
    let queue = TokenQueue::bounded(50).expect("a capacity of 50");
    queue.blocking_enqueue_many(Token::new(0), 49).expect("an open queue");
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                for _ in 0..100 {
                    queue.blocking_enqueue(Token::new(1)).expect("an open queue");
                }
            });
            scope.spawn(|| {
                for _ in 0..100 {
                    queue.blocking_dequeue().expect("an open queue");
                }
            });
        }
    });
    assert_eq!(queue.size(), 49);
}

// MixtureOfEnqueueAndEnqueueMany, MixtureOfDequeueAndDequeueMany.
#[test]
fn one_producer_and_one_consumer_keep_the_order() {
    let queue = TokenQueue::bounded(10).expect("a capacity of 10");
    let sizes = [0, 1, 7, 20, 3, 13, 1, 0, 19, 2];
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = 0;
            for size in sizes.into_iter().cycle() {
                let end = 250.min(next + size);
                queue.blocking_enqueue_all(tokens(next..end)).expect("an open queue");
                next = end;
                if next == 250 {
                    break;
                }
                queue.blocking_enqueue(Token::new(next)).expect("an open queue");
                next += 1;
            }
            queue.blocking_close().expect("nobody else closes");
        });
        let mut steps = Vec::new();
        for size in sizes.into_iter().rev().cycle() {
            let size = usize::try_from(size).expect("a size is not negative");
            match queue.blocking_dequeue_up_to(size) {
                Ok(batch) => steps.extend(batch.into_iter().map(Token::step)),
                Err(DequeueError::Closed { .. }) => break,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(steps, (0..250).collect::<Vec<_>>());
    });
}

// P-1: a stop wakes every waiter.
#[test]
fn a_close_wakes_sixty_four_threads() {
    let queue = TokenQueue::unbounded();
    let consumers = consume(&queue, 64, |queue| Ok(vec![queue.blocking_dequeue()?]));
    queue.blocking_close().expect("nobody else closes");
    assert_eq!(join(consumers), []);
}
