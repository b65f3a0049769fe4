//! A stream of messages that are handed over in batches.
//!
//! What belongs together is sent together: the connection writes a whole batch at once, instead of
//! waking for each message.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::Stream;

/// Several messages, made one by one when they are sent.
pub(crate) type Batch<M> = Box<dyn Iterator<Item = M> + Send>;

/// The end that messages come out of.
pub(crate) struct Batches<M> {
    incoming: UnboundedReceiver<Batch<M>>,
    /// Begun.
    open: Option<Batch<M>>,
}

/// The end that takes messages. Its users bound what they put in: a connection has at most one
/// contribution, one snapshot and a few small messages under way.
pub(crate) type BatchSender<M> = UnboundedSender<Batch<M>>;

pub(crate) fn batches<M>() -> (BatchSender<M>, Batches<M>) {
    let (sender, incoming) = unbounded_channel();
    (sender, Batches { incoming, open: None })
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
                Poll::Ready(Some(batch)) => self.open = Some(batch),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
