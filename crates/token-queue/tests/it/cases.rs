//! The catalogue of TensorFlow's queue, and the cases measured on it.

use token_queue::{CapacityError, Token, TokenQueue};

use crate::script::check;

// Enqueue, Dequeue, MultiEnqueueAndDequeue, SizeAfterEnqueueAndDequeue, QueueSizeEmpty.
#[test]
fn first_in_first_out() {
    check(
        10,
        "size => 0
         a: put 10 => a ok
         b: put 20 => b ok
         size => 2
         c: put 30 => c ok
         d: take => d got 10
         e: take => e got 20
         f: take => f got 30
         size => 0",
    );
}

// EnqueueMany, MultipleDequeues, DequeueMany, DequeueUpToNoBlocking.
#[test]
fn batches() {
    check(
        10,
        "a: put 10 20 30 40 => a ok
         b: put 10 20 30 40 => b ok
         size => 8
         c: many 4 => c got 10 20 30 40
         d: upto 3 => d got 10 20 30
         e: take => e got 40",
    );
    check(
        0,
        "a: put 1 2 3 => a ok
         b: take => b got 1
         c: take => c got 2
         d: take => d got 3",
    );
}

// EmptyEnqueueMany, EmptyDequeueMany, EmptyDequeueUpTo; E-14 for a closed queue.
#[test]
fn empty_batches() {
    for capacity in [0, 1] {
        check(
            capacity,
            "a: put => a ok
             size => 0
             b: many 0 => b got
             c: upto 0 => c got
             d: put 1 => d ok
             e: many 0 => e got
             f: put => f ok
             close now
             g: put => g ok
             h: many 0 => h got
             i: upto 0 => i got
             size => 1",
        );
    }
}

// DequeueFromClosedQueue, EnqueueToClosedQueue, EnqueueManyToClosedQueue.
#[test]
fn a_closed_queue_gives_what_it_holds() {
    check(
        10,
        "a: put 1 2 3 4 => a ok
         b: close => b ok
         closed? => true
         c: put 5 => c closed, rest 5
         d: put 6 7 => d closed, rest 6 7
         e: many 2 => e got 1 2
         f: take => f got 3
         g: take => g got 4
         h: take => h closed, 0 of 1
         i: many 4 => i closed, 0 of 4
         j: upto 4 => j closed, 0 of 4
         k: close => k already closed
         close now
         closed? => true",
    );
}

// EnqueueAndBlockingDequeue, BlockingDequeueMany, BlockingDequeueUpTo.
#[test]
fn consumers_may_come_first() {
    check(
        0,
        "a: take
         b: take
         c: take
         d: put 10 => d ok; a got 10
         e: put 20 30 => e ok; b got 20; c got 30",
    );
    for call in ["many 4", "upto 4"] {
        check(10, &format!("a: {call}\n b: put 1 2 => b ok\n size => 0"));
        check(10, &format!("a: {call}\n b: put 1 2 3 4 => b ok; a got 1 2 3 4"));
    }
}

// BigDequeueMany.
#[test]
fn a_dequeue_larger_than_the_capacity() {
    check(
        2,
        "a: many 4
         b: put 0 => b ok
         c: put 1 => c ok
         d: put 2 => d ok
         size => 0
         e: put 3 => e ok; a got 0 1 2 3",
    );
}

// BigEnqueueMany.
#[test]
fn an_enqueue_larger_than_the_capacity() {
    check(
        5,
        "a: put 1 2 3 4 5 6 7 8 9 10
         size => 5
         b: take => b got 1
         size => 5
         c: take => c got 2
         d: take => d got 3
         e: take => e got 4
         f: take => f got 5; a ok
         g: many 5 => g got 6 7 8 9 10
         size => 0",
    );
}

// ResetOfBlockingOperation, DequeueWithTimeout and ReusableAfterTimeout, as dropped calls.
#[test]
fn calls_that_wait_can_be_dropped() {
    check(
        0,
        "a: take
         b: many 2
         drop a
         drop b
         c: put 37 => c ok
         d: take => d got 37",
    );
    check(
        1,
        "a: put 1 => a ok
         b: put 2
         c: put 3 4
         drop b
         drop c
         d: take => d got 1
         size => 0",
    );
}

// BlockingDequeueFromClosedQueue, ...ClosedEmptyQueue, BlockingDequeueMany and UpTo likewise.
#[test]
fn a_close_ends_waiting_dequeues() {
    check(
        0,
        "a: take
         b: many 2
         c: upto 2
         d: close => d ok; a closed, 0 of 1; b closed, 0 of 2; c closed, 0 of 2",
    );
}

// BlockingDequeueManyFromClosedQueue, BlockingDequeueManyButNotAllFromClosedQueue.
#[test]
fn a_close_ends_a_batch_that_is_short() {
    check(
        10,
        "a: put 1 2 3 4 => a ok
         b: many 4 => b got 1 2 3 4
         c: many 4
         d: close => d ok; c closed, 0 of 4",
    );
    check(
        10,
        "a: put 1 2 3 4 => a ok
         b: many 3 => b got 1 2 3
         c: many 3
         d: close => d ok; c closed, 1 of 3",
    );
}

// DequeueUpToFromClosedQueueReturnsRemainder.
#[test]
fn up_to_takes_the_remainder() {
    check(
        10,
        "a: put 1 2 3 4 => a ok
         b: upto 3 => b got 1 2 3
         c: upto 3
         size => 0
         d: close => d ok; c got 4",
    );
}

// EnqueueManyLargerThanCapacityWithConcurrentDequeueMany,
// ClosedBlockingDequeueManyRestoresPartialBatch; E-13 for a close.
#[test]
fn a_close_restores_a_partial_batch() {
    check(
        4,
        "a: put 1 2 3 4 => a ok
         b: many 3 => b got 1 2 3
         c: many 3
         size => 0
         close now => c closed, 1 of 3
         size => 1
         d: take => d got 4",
    );
    check(
        4,
        "a: put 1 2 3 => a ok
         b: many 4
         c: take
         d: close => d ok; b closed, 3 of 4; c got 1
         e: take => e got 2
         f: take => f got 3
         size => 0",
    );
}

// BlockingEnqueueToFullQueue, BlockingEnqueueManyToFullQueue.
#[test]
fn enqueues_wait_for_room() {
    check(
        4,
        "a: put 10 20 30 40 => a ok
         b: put 50 60
         c: put 70
         d: take => d got 10
         e: take => e got 20; b ok
         f: take => f got 30; c ok
         g: many 4 => g got 40 50 60 70",
    );
}

// R-12, E-15: BlockingEnqueueBeforeClose, BlockingEnqueueManyBeforeClose.
#[test]
fn a_close_lets_earlier_enqueues_finish() {
    check(
        4,
        "a: put 10 20 30 40 => a ok
         b: put 50
         c: close
         closed? => false
         d: take => d got 10; b ok; c ok
         closed? => true
         e: many 4 => e got 20 30 40 50
         f: take => f closed, 0 of 1",
    );
    check(
        4,
        "a: put 10 20 30 => a ok
         b: put 50 60
         c: close
         d: put 99
         closed? => false
         e: take => e got 10; b ok; c ok; d closed, rest 99
         f: many 4 => f got 20 30 50 60",
    );
}

// a cancelling close ends enqueues and closes that wait; what they had put stays.
#[test]
fn a_cancelling_close() {
    check(
        3,
        "a: put 1 2 3 4 5
         b: put 6
         c: close
         close now => a closed, rest 4 5; b closed, rest 6; c already closed
         d: upto 9 => d got 1 2 3",
    );
}

// R-13, E-12: a dropped enqueue leaves what it had put.
#[test]
fn e12_a_dropped_enqueue() {
    check(
        3,
        "a: put 1 2 3 4 5
         drop a
         size => 3
         b: many 3 => b got 1 2 3
         size => 0",
    );
}

// R-13, E-13: TensorFlow loses what a cancelled dequeue held; here the front gets it.
#[test]
fn e13_a_dropped_dequeue() {
    check(
        0,
        "a: many 3
         b: put 1 2 => b ok
         size => 0
         drop a
         size => 2
         c: put 3 => c ok
         d: many 3 => d got 1 2 3",
    );
    check(
        0,
        "a: many 3
         b: many 2
         c: take
         d: put 1 2 => d ok
         drop a => b got 1 2
         e: put 3 => e ok; c got 3",
    );
}

// no later dequeue overtakes one that gathers.
#[test]
fn the_head_of_the_line_holds_up_the_rest() {
    check(
        0,
        "a: many 2
         b: take
         c: put 1 => c ok
         d: put 2 => d ok; a got 1 2
         e: put 3 => e ok; b got 3",
    );
}

// P-5: a token put back is the next one out, and wakes who waits; capacity is no obstacle.
#[test]
fn put_back() {
    check(
        1,
        "a: put 1 => a ok
         back 0
         size => 2
         b: put 2
         c: take => c got 0
         d: take => d got 1; b ok
         e: take => e got 2
         f: take
         back 7 => f got 7
         close now
         back 8
         g: take => g got 8",
    );
}

// QueuesDontShare, SharedQueueSameSession, DoesNotLoseValue.
#[test]
fn handles_share_and_queues_do_not() {
    let queue = TokenQueue::bounded(1).expect("a capacity of 1");
    let (handle, other) = (queue.clone(), TokenQueue::unbounded());
    queue.try_enqueue(Token::new(10)).expect("an empty queue");
    for _ in 0..500 {
        assert_eq!((queue.size(), handle.size(), other.size()), (1, 1, 0));
    }
    assert_eq!(handle.try_dequeue(), Ok(Some(Token::new(10))));
    handle.try_enqueue(Token::new(20)).expect("an empty queue");
    assert_eq!(queue.try_dequeue(), Ok(Some(Token::new(20))));
    assert_eq!((queue.size(), handle.size()), (0, 0));
    handle.close_cancelling_pending_enqueues();
    assert!(queue.is_closed() && !other.is_closed());
}

#[test]
fn a_capacity_of_zero_is_refused() {
    assert_eq!(TokenQueue::bounded(0).err(), Some(CapacityError::Zero));
}
