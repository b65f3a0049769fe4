//! Taking tokens: one, a whole batch, or what a closed queue has left.

use crate::attempts::{Outcome, Request};
use crate::sync::block_on;
use crate::{DequeueError, Token, TokenQueue, Tokens};

impl TokenQueue {
    /// Takes the first token, waiting while there is none.
    ///
    /// # Errors
    /// [`DequeueError::Closed`] when the queue is closed and empty.
    ///
    /// # Cancel safety
    /// No token is lost: see [the queue's](TokenQueue#cancel-safety).
    // R-11
    pub async fn dequeue(&self) -> Result<Token, DequeueError> {
        // The usual case, which allocates nothing.
        if let Some(token) = self.act(|attempts| attempts.try_dequeue()) {
            return Ok(token);
        }
        let batch = self.dequeue_batch(Request::Dequeue { n: 1 }, 1).await?;
        Ok(only(batch))
    }

    /// [`dequeue`](Self::dequeue), blocking the thread while it waits.
    ///
    /// # Errors
    /// As for [`dequeue`](Self::dequeue).
    pub fn blocking_dequeue(&self) -> Result<Token, DequeueError> {
        block_on(self.dequeue())
    }

    /// Takes the first token, or `None` when none is there and one may still come.
    ///
    /// # Errors
    /// [`DequeueError::Closed`] when the queue is closed and empty.
    pub fn try_dequeue(&self) -> Result<Option<Token>, DequeueError> {
        self.act(|attempts| match attempts.try_dequeue() {
            None if attempts.is_closed() => {
                Err(DequeueError::Closed { requested: 1, available: 0 })
            }
            token => Ok(token),
        })
    }

    /// Takes `n` tokens in order, gathering them as they come until all are there.
    ///
    /// Gathered tokens no longer count in [`size`](Self::size), and later dequeues wait behind.
    /// Zero tokens are an empty batch, even on a closed queue.
    ///
    /// # Errors
    /// [`DequeueError::Closed`] when the queue is closed with fewer than `n` left; what was
    /// gathered is back in front, in order. (R-12)
    ///
    /// # Cancel safety
    /// No token is lost: what was gathered goes back to the front, in order. (R-13)
    // R-11
    pub async fn dequeue_many(&self, n: usize) -> Result<Vec<Token>, DequeueError> {
        let batch = self.dequeue_batch(Request::Dequeue { n }, n).await?;
        Ok(batch.iter().collect())
    }

    /// [`dequeue_many`](Self::dequeue_many), blocking the thread while it waits.
    ///
    /// # Errors
    /// As for [`dequeue_many`](Self::dequeue_many).
    pub fn blocking_dequeue_many(&self, n: usize) -> Result<Vec<Token>, DequeueError> {
        block_on(self.dequeue_many(n))
    }

    /// Takes `n` tokens like [`dequeue_many`](Self::dequeue_many), or, once the queue is closed,
    /// the 1 to `n` that are left.
    ///
    /// # Errors
    /// [`DequeueError::Closed`] when the queue is closed and empty.
    ///
    /// # Cancel safety
    /// No token is lost: what was gathered goes back to the front, in order. (R-13)
    ///
    /// # Examples
    /// ```
    /// use token_queue::{Token, TokenQueue};
    ///
    /// let queue = TokenQueue::unbounded();
    /// queue.try_enqueue_many(Token::new(0), 4)?;
    /// queue.blocking_close()?;
    /// assert_eq!(queue.blocking_dequeue_up_to(3)?.len(), 3);
    /// assert_eq!(queue.blocking_dequeue_up_to(3)?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    // R-11, R-12
    pub async fn dequeue_up_to(&self, n: usize) -> Result<Vec<Token>, DequeueError> {
        let batch = self.dequeue_batch(Request::DequeueUpTo { n }, n).await?;
        Ok(batch.iter().collect())
    }

    /// [`dequeue_up_to`](Self::dequeue_up_to), blocking the thread while it waits.
    ///
    /// # Errors
    /// As for [`dequeue_up_to`](Self::dequeue_up_to).
    pub fn blocking_dequeue_up_to(&self, n: usize) -> Result<Vec<Token>, DequeueError> {
        block_on(self.dequeue_up_to(n))
    }

    async fn dequeue_batch(
        &self,
        request: Request,
        requested: usize,
    ) -> Result<Tokens, DequeueError> {
        match self.wait(request).await {
            Outcome::Done(batch) => Ok(batch),
            Outcome::Closed { available, .. } => Err(DequeueError::Closed { requested, available }),
        }
    }
}

fn only(mut batch: Tokens) -> Token {
    batch.try_take().expect("a finished dequeue of one has one token")
}
