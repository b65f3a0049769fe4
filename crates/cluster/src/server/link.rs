//! The orders of the leader to one other server: numbered, and sent again after a lost connection
//! until they are known to be done.
//!
//! Opens no connection and reads none. Invariant: the server carries an order out once, and in
//! order, whatever becomes of connections.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sync_replicas::Scalar;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::transfer::{pieces, scalars};
use crate::batches::{BatchSender, batch};
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Message;
use crate::proto::{self, Done, Order};
use crate::server::command_error::CommandError;
use crate::server::parameter_server::Start;
use crate::server::usage::Usage;
use crate::shard::ShardState;
use crate::sync::lock;

/// Whether a shard is in a new generation.
pub(crate) type Begun = oneshot::Receiver<Result<(), CommandError>>;

/// One link, whether connected or not.
#[derive(Clone, Default)]
pub(crate) struct Link(Arc<Mutex<Orders>>);

#[derive(Default)]
pub(crate) struct Orders {
    last: u64,
    /// Not known to be done, in order.
    open: VecDeque<Order>,
    /// Of those, how many were sent over the present connection.
    sent: usize,
    sender: Option<BatchSender<Order>>,
    /// When the connection was made or lost; `None`: there has been none yet.
    since: Option<Instant>,
    beginning: Option<Beginning>,
    /// What the server's process last said that it needs.
    usage: Option<Usage>,
}

/// A generation that the server is about to begin.
struct Beginning {
    /// The numbers of its orders; the last is the beginning itself.
    orders: RangeInclusive<u64>,
    begun: oneshot::Sender<Result<(), CommandError>>,
}

/// An answer that no server sends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("the answer to order {number} is one to another order")]
    Kind { number: u64 },
    #[error("expected the answer to order {expected}, got that to {got}")]
    Number { expected: u64, got: u64 },
    #[error("an answer to order {got} came, but {last} is the last")]
    Unasked { got: u64, last: u64 },
}

impl Link {
    pub(super) fn lock(&self) -> MutexGuard<'_, Orders> {
        lock(&self.0)
    }

    /// Queues an order; it is carried out once, whatever becomes of the connection. Returns its
    /// number.
    pub(crate) fn send(&self, order: Message) -> u64 {
        let mut orders = self.lock();
        orders.push(order);
        orders.last
    }

    /// The orders that are not known to be done.
    #[cfg(feature = "test-util")]
    pub(crate) fn orders(&self) -> Vec<Order> {
        self.lock().open.iter().cloned().collect()
    }

    /// Whether there is a connection now.
    pub(crate) fn is_connected(&self) -> bool {
        self.lock().sender.is_some()
    }

    /// How long there has been a connection, or none; `None`: never yet.
    pub(crate) fn state_lasts(&self) -> Option<Duration> {
        self.lock().since.map(|since| since.elapsed())
    }

    /// What the server's process last said that it needs.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.lock().usage
    }

    /// How many orders are not known to be done.
    pub(crate) fn open(&self) -> usize {
        self.lock().open.len()
    }

    /// Has the shard begin a generation with a saved state, or with the program's initial values.
    /// Orders of an earlier generation are void.
    pub(crate) fn begin<T: Scalar>(&self, state: Option<ShardState<T>>, start: Start) -> Begun {
        let (sender, begun) = oneshot::channel();
        let mut orders = self.lock();
        orders.open.clear();
        orders.sent = 0;
        let first = orders.last + 1;
        let restored = state.is_some();
        if let Some(state) = state {
            pieces(&state).for_each(|tensor| orders.push(Message::Restore(tensor)));
            orders.push(Message::RestoreScalars(scalars(&state)));
        }
        let (generation, global_step) = (start.generation.get(), start.global_step.get());
        let checkpoint = start.checkpoint.unwrap_or_default();
        let begin = proto::BeginGeneration { generation, global_step, restored, checkpoint };
        orders.push(Message::Begin(begin));
        orders.beginning = Some(Beginning { orders: first..=orders.last, begun: sender });
        begun
    }
}

impl Orders {
    fn push(&mut self, order: Message) {
        self.last += 1;
        self.open.push_back(Order { number: self.last, order: Some(order) });
        self.flush();
    }

    fn flush(&mut self) {
        let Some(sender) = &self.sender else { return };
        let new: Vec<Order> = self.open.iter().skip(self.sent).cloned().collect();
        self.sent = self.open.len();
        if !new.is_empty() {
            drop(sender.send(batch(new)));
        }
    }

    /// There is a connection, still unused, to a server that has carried out all orders up to this
    /// number; returns those of which that was unknown.
    pub(super) fn connected(&mut self, sender: BatchSender<Order>, done: u64) -> Vec<Order> {
        let count = self.open.iter().take_while(|order| order.number <= done).count();
        let unanswered = self.open.drain(..count).collect();
        (self.sender, self.sent, self.since) = (Some(sender), 0, Some(Instant::now()));
        self.flush();
        unanswered
    }

    /// The same for a server that has lost its state, and with it all earlier orders; a caller that
    /// waits for it to begin tries again.
    pub(super) fn connected_anew(&mut self, sender: BatchSender<Order>) {
        let since = Some(Instant::now());
        *self = Self { last: self.last, sender: Some(sender), since, ..Self::default() };
    }

    pub(super) fn disconnected(&mut self) {
        if self.sender.take().is_some() {
            self.since = Some(Instant::now());
        }
    }

    /// Whether this answers the order under way. An answer to a withdrawn order means nothing.
    pub(super) fn awaits(&self, answer: &Done) -> Result<bool, AnswerError> {
        let Done { number, done } = answer;
        match self.open.front() {
            Some(order) if order.number == *number => match answers(order.order.as_ref(), done) {
                true => Ok(true),
                false => Err(AnswerError::Kind { number: *number }),
            },
            Some(order) if order.number < *number => {
                Err(AnswerError::Number { expected: order.number, got: *number })
            }
            None if self.last < *number => {
                Err(AnswerError::Unasked { got: *number, last: self.last })
            }
            _ => Ok(false),
        }
    }

    /// The server's process needs this.
    pub(super) fn needs(&mut self, usage: Usage) {
        self.usage = Some(usage);
    }

    /// The order under way is done.
    pub(super) fn done(&mut self) {
        self.open.pop_front();
        self.sent = self.sent.saturating_sub(1);
    }

    /// That order was carried out, or failed: if it has begun a generation, or never will, the
    /// waiting caller is told. An error without a waiter is given back.
    pub(super) fn begun(
        &mut self,
        number: u64,
        done: Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let failed = done.is_err();
        let decides = |it: &mut Beginning| {
            *it.orders.end() == number || failed && it.orders.contains(&number)
        };
        match self.beginning.take_if(decides) {
            Some(beginning) => drop(beginning.begun.send(done)),
            None => return done,
        }
        Ok(())
    }
}

/// Whether an answer fits this order.
fn answers(order: Option<&Message>, answer: &Option<Answer>) -> bool {
    match (order, answer) {
        (Some(Message::Apply(apply)), Some(Answer::Applied(it))) => apply.variable == it.variable,
        (Some(Message::Save(_)), Some(Answer::Saved(_) | Answer::SavedScalars(_))) => true,
        (Some(Message::Begin(_)), Some(Answer::Begun(_))) => true,
        (Some(Message::Apply(_) | Message::Save(_) | Message::Begin(_)), None) => false,
        (_, answer) => matches!(answer, None | Some(Answer::Failed(_) | Answer::NotFinite(_))),
    }
}
