//! A stream of messages that are handed over in batches.
//!
//! What belongs together is sent together: the connection writes a whole batch at once, instead of
//! waking for each message.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::Stream;

/// Several messages, made one by one when they are sent.
pub(crate) type Batch<M> = Box<dyn Iterator<Item = M> + Send>;

/// The end that messages come out of.
pub(crate) struct Batches<M> {
    incoming: UnboundedReceiver<Batch<M>>,
    waiting: Arc<AtomicUsize>,
    /// Begun.
    open: Option<Batch<M>>,
}

/// The end that takes messages. Its users bound what they put in: a connection has at most one
/// contribution, one snapshot and a few small messages under way, and whoever sends to somebody who
/// may not read looks at how many wait.
pub(crate) struct BatchSender<M> {
    sender: UnboundedSender<Batch<M>>,
    waiting: Arc<AtomicUsize>,
}

pub(crate) fn batches<M>() -> (BatchSender<M>, Batches<M>) {
    let ((sender, incoming), waiting) = (unbounded_channel(), Arc::new(AtomicUsize::new(0)));
    let incoming = Batches { incoming, waiting: Arc::clone(&waiting), open: None };
    (BatchSender { sender, waiting }, incoming)
}

impl<M> BatchSender<M> {
    /// Queues a batch; an error if nobody takes any more.
    pub(crate) fn send(&self, batch: Batch<M>) -> Result<(), SendError<Batch<M>>> {
        // A number to compare with a bound: no other memory hangs on it.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.sender.send(batch)
    }

    /// How many batches nobody has begun to send.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether nobody takes any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl<M> Clone for BatchSender<M> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waiting: Arc::clone(&self.waiting) }
    }
}

/// A batch of messages that are there already.
pub(crate) fn batch<M: Send + 'static>(messages: Vec<M>) -> Batch<M> {
    Box::new(messages.into_iter())
}

impl<M> Stream for Batches<M> {
    type Item = M;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<M>> {
        loop {
            if let Some(batch) = &mut self.open {
                if let Some(message) = batch.next() {
                    return Poll::Ready(Some(message));
                }
                self.open = None;
                continue;
            }
            match self.incoming.poll_recv(context) {
                Poll::Ready(Some(batch)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.open = Some(batch);
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
