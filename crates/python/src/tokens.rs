//! The queue of tokens by itself, for programs built from the parts.

use pyo3::prelude::*;
use token_queue::{DequeueError, EnqueueError, Token};

use crate::errors;
use crate::fork_guard::ForkGuard;
use crate::wait::wait;

/// A fair first-in first-out queue of global-step tokens; unbounded unless `capacity` is given.
///
/// Waiting calls release the interpreter, and end when a signal's handler raises; nothing is lost.
#[pyclass(frozen, module = "sync_replicas")]
pub(crate) struct TokenQueue(ForkGuard<token_queue::TokenQueue>);

#[pymethods]
impl TokenQueue {
    #[new]
    #[pyo3(signature = (capacity = None))]
    fn new(capacity: Option<usize>) -> PyResult<Self> {
        let queue = match capacity {
            None => token_queue::TokenQueue::unbounded(),
            Some(capacity) => token_queue::TokenQueue::bounded(capacity)
                .map_err(|error| errors::argument(&error.to_string()))?,
        };
        Ok(Self(ForkGuard::new(queue)))
    }

    /// Puts `count` tokens of a step in, waiting for room in a bounded queue.
    #[pyo3(signature = (step, count = 1))]
    fn enqueue(&self, py: Python<'_>, step: i64, count: usize) -> PyResult<()> {
        let put = self.0.get()?.enqueue_many(Token::new(step), count);
        wait(py, put)?.map_err(|_: EnqueueError| closed())
    }

    /// Waits for a token, and takes it: its step.
    fn dequeue(&self, py: Python<'_>) -> PyResult<i64> {
        let token = wait(py, self.0.get()?.dequeue())?.map_err(|_| closed())?;
        Ok(token.step())
    }

    /// Takes a token if there is one and no earlier caller waits.
    fn try_dequeue(&self) -> PyResult<Option<i64>> {
        let token = self.0.get()?.try_dequeue().map_err(|_: DequeueError| closed())?;
        Ok(token.map(Token::step))
    }

    /// Closes it: tokens in it can still be taken, and waits that cannot succeed end with
    /// `QueueClosedError`. Closing it again is no error.
    fn close(&self) -> PyResult<()> {
        let queue = self.0.get()?;
        if !queue.is_closed() {
            queue.close_cancelling_pending_enqueues();
        }
        Ok(())
    }

    /// How many tokens are in it.
    fn __len__(&self) -> PyResult<usize> {
        Ok(self.0.get()?.size())
    }
}

fn closed() -> PyErr {
    errors::new("QueueClosedError", "the queue is closed, and no token is left", |_| Ok(()))
}
