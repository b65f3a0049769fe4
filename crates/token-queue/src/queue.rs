//! The queue that callers share: the rules of `attempts` under a lock, with wakers.
//!
//! It decides nothing about tokens; it only brings outcomes to waiting callers. The enqueues are in
//! `enqueue`, the dequeues in `dequeue`, the waiting itself in `wait`.

mod dequeue;
mod enqueue;
mod wait;

use std::fmt;

use crate::attempts::{Attempts, Outcome, Request};
use crate::sync::{Arc, Mutex, block_on};
use crate::{CapacityError, CloseError, Token};

use wait::State;

/// A fair first-in first-out queue of tokens, shared by cloning.
///
/// Every call that may wait comes twice: asynchronous, for any runtime, and as a `blocking_` twin
/// for threads, not to be called inside an asynchronous task. The `try_` calls never wait.
///
/// # Ordering
/// Waiting enqueues finish in the order in which they began to wait, and so do waiting dequeues:
/// one that cannot finish yet holds up those behind it. A call begins when its future is first
/// polled, not when it is made.
///
/// # Cancel safety
/// Dropping a future gives up its place. A dequeue's tokens, whether it had some of a batch or all
/// of what it asked for without having returned it, go back to the *front*, in order, and serve the
/// next in line. Tokens that an enqueue had already put stay; the others never enter. (R-13)
///
/// # Closing
/// A closed queue takes no token and gives out those that it holds, then answers `Closed`. It does
/// not open again. See [`close`](Self::close).
///
/// # Examples
/// ```
/// use token_queue::{Token, TokenQueue};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # spin_park::block_on(async {
/// let queue = TokenQueue::unbounded();
/// queue.try_enqueue_many(Token::new(1), 5)?;
/// let token = queue.dequeue().await?;
/// assert_eq!((token.step(), queue.size()), (1, 4));
/// # Ok(())
/// # })
/// # }
/// ```
// R-11, R-12, R-13
#[derive(Clone)]
pub struct TokenQueue {
    state: Arc<Mutex<State>>,
}

impl TokenQueue {
    /// A queue whose enqueues never wait.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::with_capacity(usize::MAX)
    }

    /// A queue whose enqueues wait while it holds `capacity` tokens.
    ///
    /// A token put back in front is never refused, so the size can pass the capacity.
    ///
    /// # Errors
    /// [`CapacityError::Zero`] when `capacity` is 0.
    ///
    /// # Examples
    /// ```
    /// use token_queue::{Token, TokenQueue, TryEnqueueError};
    ///
    /// let queue = TokenQueue::bounded(3)?;
    /// let refused = queue.try_enqueue_many(Token::new(0), 4);
    /// assert!(matches!(refused, Err(TryEnqueueError::Full { room: 3, .. })));
    /// # Ok::<(), token_queue::CapacityError>(())
    /// ```
    pub fn bounded(capacity: usize) -> Result<Self, CapacityError> {
        if capacity == 0 {
            return Err(CapacityError::Zero);
        }
        Ok(Self::with_capacity(capacity))
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(Attempts::new(capacity)))) }
    }

    /// How many tokens the queue holds; those that an unfinished
    /// [`dequeue_many`](Self::dequeue_many) has gathered do not count.
    #[must_use]
    pub fn size(&self) -> usize {
        self.act(|attempts| attempts.size())
    }

    /// Puts a token back in front, where the longest-waiting dequeue finds it.
    ///
    /// It works on a full and on a closed queue: the token was handed out once, and is not lost.
    // P-5
    pub fn put_back(&self, token: Token) {
        self.act(|attempts| attempts.put_back([token].into_iter().collect()));
    }

    /// Closes the queue once every enqueue that already waits has finished.
    ///
    /// Until then [`is_closed`](Self::is_closed) is false, and a later enqueue waits behind the
    /// close, to fail when it takes effect. On an unbounded queue nothing waits, and the queue is
    /// closed at the first poll. Dequeues that the rest cannot satisfy then fail.
    ///
    /// # Errors
    /// [`CloseError::AlreadyClosed`] when another close took effect first.
    ///
    /// # Cancel safety
    /// A close dropped while it waits does not happen.
    ///
    /// # Examples
    /// ```
    /// use token_queue::{DequeueError, Token, TokenQueue};
    ///
    /// let queue = TokenQueue::unbounded();
    /// queue.blocking_enqueue(Token::new(4))?;
    /// queue.blocking_close()?;
    ///
    /// assert_eq!(queue.blocking_dequeue()?, Token::new(4));
    /// let closed = DequeueError::Closed { requested: 1, available: 0 };
    /// assert_eq!(queue.blocking_dequeue(), Err(closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    // R-12
    pub async fn close(&self) -> Result<(), CloseError> {
        match self.wait(Request::Close).await {
            Outcome::Done(_) => Ok(()),
            Outcome::Closed { .. } => Err(CloseError::AlreadyClosed),
        }
    }

    /// [`close`](Self::close), blocking the thread while earlier enqueues wait.
    ///
    /// # Errors
    /// As for [`close`](Self::close).
    pub fn blocking_close(&self) -> Result<(), CloseError> {
        block_on(self.close())
    }

    /// Closes the queue at once: enqueues and closes that wait fail.
    ///
    /// Tokens that they had already put stay. Doing it again changes nothing and is no error.
    // R-12
    pub fn close_cancelling_pending_enqueues(&self) {
        self.act(Attempts::close_cancelling);
    }

    /// Whether a close has taken effect.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.act(|attempts| attempts.is_closed())
    }
}

impl fmt::Debug for TokenQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, closed) = self.act(|attempts| (attempts.size(), attempts.is_closed()));
        f.debug_struct("TokenQueue")
            .field("size", &size)
            .field("closed", &closed)
            .finish_non_exhaustive()
    }
}
