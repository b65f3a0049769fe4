//! The rules of waiting, as tables: what each operation completes, by the number of the attempt.

use super::{AttemptId, Attempts, Outcome, Request};
use crate::{Token, Tokens, TryEnqueueError};

/// Attempts are numbered 0, 1, 2, ... by the operations that begin one.
enum Op {
    Put(&'static [i64]),
    Take(usize),
    UpTo(usize),
    Close,
    CloseNow,
    Cancel(u64),
    Back(&'static [i64]),
    Discard(i64, usize, Result<usize, ()>),
}
use Op::{Back, Cancel, Close, CloseNow, Discard, Put, Take, UpTo};

enum End {
    Ok,
    Got(&'static [i64]),
    Refused(&'static [i64]),
    TooFew(usize),
}
use End::{Got, Ok, Refused, TooFew};

const UNBOUNDED: usize = usize::MAX;

fn tokens(steps: &[i64]) -> Tokens {
    steps.iter().copied().map(Token::new).collect()
}

/// Runs the operations and compares what each completed, then the tokens left in the queue.
#[track_caller]
fn check(capacity: usize, script: &[(Op, &[(u64, End)])], left: &[i64]) {
    let mut attempts = Attempts::new(capacity);
    for (line, (op, ends)) in script.iter().enumerate() {
        apply(&mut attempts, op, line);
        let ended = attempts.take_completed();
        assert_eq!(ended.len(), ends.len(), "operation {line} completed {ended:?}");
        for ((id, outcome), (expected_id, end)) in ended.iter().zip(*ends) {
            assert_eq!(*id, AttemptId(*expected_id), "operation {line} completed {ended:?}");
            let same = match (outcome, end) {
                (Outcome::Done(got), Ok) => got.is_empty(),
                (Outcome::Done(got), Got(steps)) => *got == tokens(steps),
                (Outcome::Closed { not_enqueued, .. }, Refused(steps)) => {
                    *not_enqueued == tokens(steps)
                }
                (Outcome::Closed { available, .. }, TooFew(left)) => available == left,
                _ => false,
            };
            assert!(same, "operation {line}: attempt {expected_id} ended as {outcome:?}");
        }
    }
    assert_eq!(attempts.tokens, tokens(left), "what is left");
}

#[track_caller]
fn apply(attempts: &mut Attempts, op: &Op, line: usize) {
    match *op {
        Put(steps) => drop(attempts.begin(Request::Enqueue(tokens(steps)))),
        Take(n) => drop(attempts.begin(Request::Dequeue { n })),
        UpTo(n) => drop(attempts.begin(Request::DequeueUpTo { n })),
        Close => drop(attempts.begin(Request::Close)),
        CloseNow => attempts.close_cancelling(),
        Cancel(id) => attempts.cancel(AttemptId(id)),
        Back(steps) => attempts.put_back(tokens(steps)),
        Discard(step, n, expected) => {
            let discarded = attempts.try_enqueue_discarding(Token::new(step), n);
            assert_eq!(discarded.map_err(drop), expected, "operation {line}");
        }
    }
}

// the first in line is served first, and holds up those behind it.
#[test]
fn dequeues_are_served_in_order() {
    check(
        UNBOUNDED,
        &[
            (Take(3), &[]),
            (Take(1), &[]),
            (Put(&[1, 2]), &[(2, Ok)]),
            (Put(&[3, 4, 5]), &[(3, Ok), (0, Got(&[1, 2, 3])), (1, Got(&[4]))]),
        ],
        &[5],
    );
}

// on an unbounded queue a batch enters whole; on a bounded one it keeps its place.
#[test]
fn a_batch_too_large_enters_as_room_comes() {
    check(UNBOUNDED, &[(Put(&[1, 2, 3]), &[(0, Ok)])], &[1, 2, 3]);
    check(
        2,
        &[
            (Put(&[1, 2, 3]), &[]),
            (Put(&[4]), &[]),
            (Take(1), &[(2, Got(&[1])), (0, Ok)]),
            (Take(1), &[(3, Got(&[2])), (1, Ok)]),
        ],
        &[3, 4],
    );
}

// a dequeue larger than the capacity drains the queue as an enqueue fills it.
#[test]
fn batches_larger_than_the_capacity_flow_through() {
    let whole: &[i64] = &[1, 2, 3, 4, 5];
    check(2, &[(Take(5), &[]), (Put(whole), &[(1, Ok), (0, Got(whole))])], &[]);
    check(2, &[(Put(whole), &[]), (Take(5), &[(0, Ok), (1, Got(whole))])], &[]);
}

// R-12, E-15: a close waits behind earlier enqueues; a later enqueue waits behind the close.
#[test]
fn a_close_waits_for_earlier_enqueues() {
    check(
        1,
        &[
            (Put(&[1]), &[(0, Ok)]),
            (Put(&[2]), &[]),
            (Close, &[]),
            (Put(&[3]), &[]),
            (Close, &[]),
            (Take(1), &[(5, Got(&[1])), (1, Ok), (2, Ok), (3, Refused(&[3])), (4, Refused(&[]))]),
        ],
        &[2],
    );
}

// a cancelling close ends enqueues and closes that wait; what they had put stays.
#[test]
fn a_cancelling_close_ends_enqueues() {
    check(
        1,
        &[
            (Put(&[1, 2, 3]), &[]),
            (Put(&[4]), &[]),
            (Close, &[]),
            (CloseNow, &[(0, Refused(&[2, 3])), (1, Refused(&[4])), (2, Refused(&[]))]),
            (CloseNow, &[]),
            (Close, &[(3, Refused(&[]))]),
        ],
        &[1],
    );
}

// R-12, E-13: the first dequeue that a close leaves short puts back what it held; the next gets it.
#[test]
fn a_close_restores_what_was_held() {
    check(
        UNBOUNDED,
        &[
            (Take(3), &[]),
            (UpTo(3), &[]),
            (Take(1), &[]),
            (Put(&[1, 2]), &[(3, Ok)]),
            (Close, &[(4, Ok), (0, TooFew(2)), (1, Got(&[1, 2])), (2, TooFew(0))]),
        ],
        &[],
    );
    check(
        UNBOUNDED,
        &[(Put(&[1, 2]), &[(0, Ok)]), (CloseNow, &[]), (Take(3), &[(1, TooFew(2))])],
        &[1, 2],
    );
}

// what a dequeue held goes in front of what enqueues put before the close took effect.
#[test]
fn a_close_restores_in_front_of_later_tokens() {
    check(
        2,
        &[(Put(&[1, 2, 3, 4]), &[]), (Close, &[]), (Take(6), &[(0, Ok), (1, Ok), (2, TooFew(4))])],
        &[1, 2, 3, 4],
    );
}

// E-14: an empty batch succeeds at once, closed or not, and overtakes those who wait.
#[test]
fn empty_batches_never_wait() {
    check(
        1,
        &[
            (Put(&[1, 2]), &[]),
            (Put(&[]), &[(1, Ok)]),
            (CloseNow, &[(0, Refused(&[2]))]),
            (Put(&[]), &[(2, Ok)]),
            (Take(0), &[(3, Ok)]),
            (UpTo(0), &[(4, Ok)]),
        ],
        &[1],
    );
}

// a cancelled dequeue gives what it held to the next in line, in order.
#[test]
fn a_cancelled_dequeue_loses_nothing() {
    check(
        UNBOUNDED,
        &[
            (Take(4), &[]),
            (Take(2), &[]),
            (Take(2), &[]),
            (Put(&[1, 2, 3]), &[(3, Ok)]),
            (Cancel(0), &[(1, Got(&[1, 2]))]),
            (Cancel(2), &[]),
            (Cancel(2), &[]),
        ],
        &[3],
    );
}

// R-13, E-12: a cancelled enqueue keeps what it has put and lets the next one in; a cancelled
// close does not happen.
#[test]
fn a_cancelled_enqueue_frees_those_behind_it() {
    check(
        3,
        &[
            (Put(&[1, 2, 3, 4, 5]), &[]),
            (Close, &[]),
            (Put(&[6]), &[]),
            (Cancel(0), &[(1, Ok), (2, Refused(&[6]))]),
        ],
        &[1, 2, 3],
    );
    check(
        1,
        &[
            (Put(&[1]), &[(0, Ok)]),
            (Put(&[2]), &[]),
            (Close, &[]),
            (Put(&[3]), &[]),
            (Cancel(1), &[(2, Ok), (3, Refused(&[3]))]),
        ],
        &[1],
    );
    check(
        1,
        &[
            (Put(&[1, 2]), &[]),
            (Close, &[]),
            (Put(&[3]), &[]),
            (Cancel(1), &[]),
            (Take(1), &[(3, Got(&[1])), (0, Ok)]),
            (Take(1), &[(4, Got(&[2])), (2, Ok)]),
        ],
        &[3],
    );
}

// P-5: a token put back is the next one out, on a full and on a closed queue too.
#[test]
fn put_back_goes_to_the_front() {
    check(UNBOUNDED, &[(Put(&[2]), &[(0, Ok)]), (Back(&[1]), &[])], &[1, 2]);
    check(UNBOUNDED, &[(Take(1), &[]), (Back(&[7, 8]), &[(0, Got(&[7]))])], &[8]);
    check(1, &[(Put(&[2, 3]), &[]), (Back(&[1]), &[]), (Take(1), &[(1, Got(&[1]))])], &[2]);
    check(UNBOUNDED, &[(CloseNow, &[]), (Back(&[1]), &[]), (Take(1), &[(0, Got(&[1]))])], &[]);
}

// P-12: old tokens go as new ones come, the ones gathered by an unfinished dequeue too.
#[test]
fn discarding_is_one_operation() {
    check(
        UNBOUNDED,
        &[
            (Put(&[1, 3, 2]), &[(0, Ok)]),
            (Discard(2, 2, Result::Ok(1)), &[]),
            (Take(6), &[]),
            (Discard(4, 5, Result::Ok(4)), &[]),
            (Put(&[5]), &[(2, Ok), (1, Got(&[4, 4, 4, 4, 4, 5]))]),
        ],
        &[],
    );
}

// P-12: on a bounded queue it is all or nothing, and overtakes no enqueue that waits.
#[test]
fn discarding_that_does_not_fit_changes_nothing() {
    check(
        2,
        &[
            (Put(&[1, 2]), &[(0, Ok)]),
            (Discard(2, 2, Err(())), &[]),
            (Discard(2, 1, Result::Ok(1)), &[]),
            (Put(&[3]), &[]),
            (Discard(3, 1, Err(())), &[]),
            (Discard(3, 0, Result::Ok(2)), &[(1, Ok)]),
            (CloseNow, &[]),
            (Discard(4, 1, Err(())), &[]),
        ],
        &[3],
    );
}

#[test]
fn a_refusal_says_what_was_expected() {
    let mut attempts = Attempts::new(3);
    attempts.try_enqueue(Token::new(0), 2).expect("two fit into three");
    let full = TryEnqueueError::Full { requested: 2, room: 1, capacity: 3 };
    assert_eq!(attempts.try_enqueue(Token::new(0), 2), Err(full));
    attempts.close_cancelling();
    let closed = TryEnqueueError::Closed { requested: 2 };
    assert_eq!(attempts.try_enqueue(Token::new(0), 2), Err(closed));
    assert_eq!(attempts.size(), 2);
}
