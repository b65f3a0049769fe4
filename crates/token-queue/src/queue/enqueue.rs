//! Putting tokens: waiting for room, or not.

use crate::attempts::{Outcome, Request};
use crate::sync::block_on;
use crate::{EnqueueError, Token, TokenQueue, Tokens, TryEnqueueError};

impl TokenQueue {
    /// Puts one token at the end, waiting for room on a bounded queue.
    ///
    /// # Errors
    /// [`EnqueueError::Closed`], with the token, when the queue is closed.
    ///
    /// # Cancel safety
    /// A call dropped while it waits puts nothing.
    // R-11
    pub async fn enqueue(&self, token: Token) -> Result<(), EnqueueError> {
        self.enqueue_many(token, 1).await
    }

    /// [`enqueue`](Self::enqueue), blocking the thread while it waits.
    ///
    /// # Errors
    /// As for [`enqueue`](Self::enqueue).
    pub fn blocking_enqueue(&self, token: Token) -> Result<(), EnqueueError> {
        block_on(self.enqueue(token))
    }

    /// Puts one token at the end, if that needs no waiting.
    ///
    /// # Errors
    /// [`TryEnqueueError`]; nothing was put.
    pub fn try_enqueue(&self, token: Token) -> Result<(), TryEnqueueError> {
        self.try_enqueue_many(token, 1)
    }

    /// Puts `n` tokens of `step`, waiting for room on a bounded queue.
    ///
    /// On an unbounded queue they all appear in one step. On a bounded one those that fit appear,
    /// and the call keeps its place for the rest. Zero tokens succeed even on a closed queue.
    ///
    /// # Errors
    /// [`EnqueueError::Closed`], with the tokens that were not put, when the queue is closed.
    ///
    /// # Cancel safety
    /// Tokens already put stay; the rest is not put.
    // R-11
    pub async fn enqueue_many(&self, step: Token, n: usize) -> Result<(), EnqueueError> {
        // The usual case, which allocates nothing.
        if self.try_enqueue_many(step, n).is_ok() {
            return Ok(());
        }
        let mut batch = Tokens::new();
        batch.put_many(step, n);
        self.enqueue_batch(batch).await
    }

    /// [`enqueue_many`](Self::enqueue_many), blocking the thread while it waits.
    ///
    /// # Errors
    /// As for [`enqueue_many`](Self::enqueue_many).
    pub fn blocking_enqueue_many(&self, step: Token, n: usize) -> Result<(), EnqueueError> {
        block_on(self.enqueue_many(step, n))
    }

    /// Puts `n` tokens of `step` in one step, or none. On an unbounded queue there is always room.
    ///
    /// Room is the capacity less the size: dequeues that wait do not add to it.
    ///
    /// # Errors
    /// [`TryEnqueueError`]; nothing was put.
    pub fn try_enqueue_many(&self, step: Token, n: usize) -> Result<(), TryEnqueueError> {
        self.act(|attempts| attempts.try_enqueue(step, n))
    }

    /// Drops every token older than `step` and puts `n` tokens of `step`, in one step that no other
    /// caller sees between; returns how many were dropped.
    ///
    /// Tokens that an unfinished [`dequeue_many`](Self::dequeue_many) has gathered are still the
    /// queue's and are also dropped; a token that was returned is not.
    ///
    /// # Errors
    /// [`TryEnqueueError`]; nothing was dropped and nothing put. Room is counted after the drop.
    ///
    /// # Examples
    /// ```
    /// use token_queue::{Token, TokenQueue};
    ///
    /// let queue = TokenQueue::unbounded();
    /// queue.try_enqueue_many(Token::new(1), 2)?;
    /// assert_eq!(queue.try_enqueue_many_discarding_older(Token::new(2), 5)?, 2);
    /// assert_eq!(queue.size(), 5);
    /// # Ok::<(), token_queue::TryEnqueueError>(())
    /// ```
    // P-12
    pub fn try_enqueue_many_discarding_older(
        &self,
        step: Token,
        n: usize,
    ) -> Result<usize, TryEnqueueError> {
        self.act(|attempts| attempts.try_enqueue_discarding(step, n))
    }

    /// Puts all of `tokens` in their order, as [`enqueue_many`](Self::enqueue_many) does.
    ///
    /// # Errors
    /// [`EnqueueError::Closed`], with the tokens that were not put, when the queue is closed.
    ///
    /// # Cancel safety
    /// Tokens already put stay; the rest is not put.
    ///
    /// # Examples
    /// ```
    /// use token_queue::{EnqueueError, Token, TokenQueue};
    ///
    /// let queue = TokenQueue::unbounded();
    /// queue.blocking_enqueue_all((1..=3).map(Token::new))?;
    /// queue.close_cancelling_pending_enqueues();
    ///
    /// // What could not be put comes back.
    /// let Err(EnqueueError::Closed { not_enqueued, .. }) = queue.blocking_enqueue(Token::new(4))
    /// else { panic!("the queue is closed") };
    /// assert_eq!(not_enqueued.iter().next(), Some(Token::new(4)));
    /// # Ok::<(), EnqueueError>(())
    /// ```
    pub async fn enqueue_all(
        &self,
        tokens: impl IntoIterator<Item = Token>,
    ) -> Result<(), EnqueueError> {
        let batch = tokens.into_iter().collect();
        self.enqueue_batch(batch).await
    }

    /// [`enqueue_all`](Self::enqueue_all), blocking the thread while it waits.
    ///
    /// # Errors
    /// As for [`enqueue_all`](Self::enqueue_all).
    pub fn blocking_enqueue_all(
        &self,
        tokens: impl IntoIterator<Item = Token>,
    ) -> Result<(), EnqueueError> {
        block_on(self.enqueue_all(tokens))
    }

    async fn enqueue_batch(&self, batch: Tokens) -> Result<(), EnqueueError> {
        match self.wait(Request::Enqueue(batch)).await {
            Outcome::Done(_) => Ok(()),
            Outcome::Closed { not_enqueued, .. } => Err(EnqueueError::Closed { not_enqueued }),
        }
    }
}
