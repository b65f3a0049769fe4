//! What can go wrong, one small type an operation. None of them changes the queue.

use thiserror::Error;

use crate::Tokens;

/// Why a bounded queue could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CapacityError {
    /// A queue without room would make every enqueue wait for ever.
    #[error("a bounded queue needs a capacity of at least 1, got 0; for no bound use `unbounded`")]
    Zero,
}

/// Why an enqueue that may wait did not put all its tokens.
//
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// The queue was closed before the call, or while it waited.
    #[error(
        "the queue is closed and takes no more tokens: {} of this call were not put; \
         stop producing, or start with a new queue",
        .not_enqueued.len()
    )]
    Closed {
        /// The tokens that are not in the queue, in order; those before them are.
        not_enqueued: Tokens,
    },
}

/// Why an enqueue that never waits put nothing.
//
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryEnqueueError {
    /// The queue is closed.
    #[error(
        "the queue is closed and takes no more tokens: {requested} were not put; \
         stop producing, or start with a new queue"
    )]
    Closed {
        /// How many tokens the call would have put.
        requested: usize,
    },
    /// The tokens do not all fit, or earlier callers wait to put theirs.
    #[error(
        "the queue has room for {room} tokens and {requested} came (capacity {capacity}); \
         dequeue first, or call the enqueue that waits"
    )]
    Full {
        /// How many tokens the call would have put.
        requested: usize,
        /// How many would have fitted; 0 when other callers wait to put theirs.
        room: usize,
        /// How many tokens the queue takes before enqueues wait.
        capacity: usize,
    },
}

/// Why a dequeue gave no token.
//
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DequeueError {
    /// The queue is closed and will never hold as many tokens as requested.
    #[error(
        "the queue is closed: {requested} tokens were requested and {available} are left; \
         nothing more will come"
    )]
    Closed {
        /// How many tokens the call requested.
        requested: usize,
        /// How many the queue holds; they can still be taken.
        available: usize,
    },
}

/// Why a close did nothing.
//
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloseError {
    /// Another close came first.
    #[error("the queue is already closed; nothing is left to do")]
    AlreadyClosed,
}
