//! What can be done to a queue, and how often each is drawn.
//!
//! Plain data and its generators; what must come of it is in the model. Invariant: calls and tokens
//! are meant by a place among those there are, so that any part of a history is one.

use proptest::prelude::*;

/// One thing done to a queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Put tokens, and poll once.
    Put {
        /// How many.
        n: usize,
        /// Whether all are of one step, so one `enqueue_many`.
        same: bool,
    },
    /// Put so many tokens of one step if there is room; never waits.
    TryPut(usize),
    /// Take tokens, and poll once.
    Take {
        /// How many.
        n: usize,
        /// Whether fewer will do when the queue is closed.
        up_to: bool,
    },
    /// Take one token if there is one and no dequeue waits; never waits.
    TryTake,
    /// Close after those who wait to put.
    Close,
    /// Close, and cancel those who wait to put.
    CloseNow,
    /// Poll a call, which must end exactly when the model says so.
    Poll(usize),
    /// Drop a call, whether it waits or has a result that it never returned.
    Drop(usize),
    /// Put a token that a call returned back in front.
    Back(usize),
    /// Discard what is older than the newest token but `keep`; or, with `put`, all, and put one.
    Discard {
        /// How many of the newest stay.
        keep: i64,
        /// Whether a token is put.
        put: bool,
    },
}

/// Any operation, in a mix that lets lines form on both sides.
pub fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..5usize, any::<bool>()).prop_map(|(n, same)| Op::Put { n, same }),
        6 => (0..5usize, any::<bool>()).prop_map(|(n, up_to)| Op::Take { n, up_to }),
        2 => (0..4usize).prop_map(Op::TryPut),
        2 => Just(Op::TryTake),
        // Seldom, as little happens after it.
        1 => prop_oneof![4 => Just(Op::TryTake), 1 => Just(Op::Close), 1 => Just(Op::CloseNow)],
        4 => (0..8usize).prop_map(Op::Poll),
        4 => (0..8usize).prop_map(Op::Drop),
        2 => (0..8usize).prop_map(Op::Back),
        1 => (0..6i64, any::<bool>()).prop_map(|(keep, put)| Op::Discard { keep, put }),
    ]
}
