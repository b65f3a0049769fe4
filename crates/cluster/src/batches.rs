//! A stream of messages, handed over in batches.
//!
//! What belongs together is sent together: the connection writes a whole batch at once, instead of
//! waking for each message. Unread messages can be given up: a stream whose other end does not read
//! is not polled, so it would hold its messages for as long as the connection lives.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::Stream;

use crate::sync::lock;

/// Several messages, made one by one when they are sent.
pub(crate) type Batch<M> = Box<dyn Iterator<Item = M> + Send>;

/// The end that messages come out of.
pub(crate) struct Batches<M> {
    /// Announces each batch.
    incoming: UnboundedReceiver<()>,
    unread: Unread<M>,
}

/// Sent messages that were not taken yet.
pub(crate) struct Unread<M>(Arc<Kept<M>>);

struct Kept<M> {
    /// `None` once it was given up.
    batches: Mutex<Option<Waiting<M>>>,
    /// How many batches have not begun.
    waiting: AtomicUsize,
}

struct Waiting<M> {
    queue: VecDeque<Batch<M>>,
    /// Begun, and away while its next message is made.
    open: Option<Batch<M>>,
}

/// The end that takes messages. Its users bound what they put in: a connection has at most one
/// contribution, one snapshot and a few small messages under way, and a sender whose receiver may
/// not read checks how many wait.
pub(crate) struct BatchSender<M> {
    sender: UnboundedSender<()>,
    unread: Unread<M>,
}

/// The receiver is gone.
#[derive(Debug)]
pub(crate) struct Closed;

pub(crate) fn batches<M>() -> (BatchSender<M>, Batches<M>) {
    let (sender, incoming) = unbounded_channel();
    let batches = Mutex::new(Some(Waiting { queue: VecDeque::new(), open: None }));
    let unread = Unread(Arc::new(Kept { batches, waiting: AtomicUsize::new(0) }));
    (BatchSender { sender, unread: unread.clone() }, Batches { incoming, unread })
}

impl<M> Unread<M> {
    /// Frees messages sent and not taken; the stream ends.
    pub(crate) fn give_up(&self) {
        // Not under the lock: freeing the messages may wake a waiter.
        let given_up = lock(&self.0.batches).take();
        drop(given_up);
    }
}

impl<M> Clone for Unread<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> BatchSender<M> {
    /// Queues a batch; an error if the receiver is gone.
    pub(crate) fn send(&self, batch: Batch<M>) -> Result<(), Closed> {
        if let Some(waiting) = &mut *lock(&self.unread.0.batches) {
            waiting.queue.push_back(batch);
        }
        // A number to compare with a bound: no other memory hangs on it.
        self.unread.0.waiting.fetch_add(1, Ordering::Relaxed);
        self.sender.send(()).map_err(|_| Closed)
    }

    /// The batches not yet taken, even once all senders are gone.
    pub(crate) fn unread(&self) -> Unread<M> {
        self.unread.clone()
    }

    /// How many batches are not yet being sent.
    pub(crate) fn waiting(&self) -> usize {
        self.unread.0.waiting.load(Ordering::Relaxed)
    }

    /// Whether the receiver is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl<M> Clone for BatchSender<M> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), unread: self.unread.clone() }
    }
}

impl<M> Drop for Batches<M> {
    fn drop(&mut self) {
        self.unread.give_up();
    }
}

/// A batch of messages already made.
pub(crate) fn batch<M: Send + 'static>(messages: Vec<M>) -> Batch<M> {
    Box::new(messages.into_iter())
}

impl<M> Stream for Batches<M> {
    type Item = M;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<M>> {
        loop {
            let open = match &mut *lock(&self.unread.0.batches) {
                Some(waiting) => waiting.open.take(),
                None => return Poll::Ready(None),
            };
            if let Some(mut batch) = open {
                // Not under the lock: a message may take long to make, and others send.
                let Some(message) = batch.next() else { continue };
                if let Some(waiting) = &mut *lock(&self.unread.0.batches) {
                    waiting.open = Some(batch);
                }
                return Poll::Ready(Some(message));
            }
            match self.incoming.poll_recv(context) {
                Poll::Ready(Some(())) => {
                    self.unread.0.waiting.fetch_sub(1, Ordering::Relaxed);
                    if let Some(waiting) = &mut *lock(&self.unread.0.batches) {
                        waiting.open = waiting.queue.pop_front();
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
