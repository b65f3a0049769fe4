//! tokio's one-shot channel, each call of which is a moment at which loom may switch threads.
//!
//! tokio checks the inside of its channel with loom itself; here a call is one indivisible act, and
//! what is explored is the order of these acts among all others.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;

pub(crate) use oneshot::error::{RecvError, TryRecvError};

pub(crate) struct Sender<T> {
    channel: oneshot::Sender<T>,
    moment: Moment,
}

pub(crate) struct Receiver<T> {
    channel: oneshot::Receiver<T>,
    moment: Moment,
}

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let moment = Moment::default();
    let sender = Sender { channel: sender, moment: moment.clone() };
    (sender, Receiver { channel: receiver, moment })
}

impl<T> Sender<T> {
    pub(crate) fn send(self, value: T) -> Result<(), T> {
        self.moment.passes();
        self.channel.send(value)
    }
}

impl<T> Receiver<T> {
    pub(crate) fn close(&mut self) {
        self.moment.passes();
        self.channel.close();
    }

    pub(crate) fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.moment.passes();
        self.channel.try_recv()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.moment.passes();
        Pin::new(&mut self.channel).poll(context)
    }
}

/// An atomic that both ends touch: loom explores every order of the touches.
#[derive(Clone, Default)]
struct Moment(Arc<AtomicUsize>);

impl Moment {
    fn passes(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}
