//! The coordinator's side of a link to another server: numbered orders, sent again after a lost
//! connection until they are known to be done.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sync_replicas::{Generation, GlobalStep, Scalar};
use tokio::sync::oneshot;

use super::failure::Failure;
use super::link_serve::{Gathered, Layout};
use super::node::{Node, lock};
use crate::batches::{BatchSender, batch, batches};
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Message;
use crate::proto::{self, Done, Order};
use crate::shard::{ShardState, Wire};
use crate::stream::Receiving;
use crate::wire;

/// Whether a shard is in a new generation.
pub(super) type Begun = oneshot::Receiver<Result<(), String>>;

/// What the coordinator holds of a link.
#[derive(Clone)]
pub(super) struct LinkHandle(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    last: u64,
    /// Not known to be done, in order.
    orders: VecDeque<Order>,
    /// Of those, how many were sent over the present connection.
    sent: usize,
    sender: Option<BatchSender<Order>>,
    beginning: Option<Beginning>,
}

/// A generation that the server is to begin.
struct Beginning {
    /// The numbers of its orders; the last is the beginning itself.
    orders: RangeInclusive<u64>,
    begun: oneshot::Sender<Result<(), String>>,
}

impl LinkHandle {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared { queue: Mutex::default() }))
    }

    /// Queues an order; it is carried out once, whatever becomes of the connection. Its number.
    pub(super) fn send(&self, order: Message) -> u64 {
        let mut queue = lock(&self.0.queue);
        queue.push(order);
        queue.last
    }

    /// The orders that are not known to be done.
    #[cfg(feature = "test-util")]
    pub(super) fn orders(&self) -> Vec<Order> {
        lock(&self.0.queue).orders.iter().cloned().collect()
    }

    /// Whether the server has carried out all orders.
    pub(super) fn is_idle(&self) -> bool {
        self.open() == 0
    }

    /// How many orders are not known to be done.
    pub(super) fn open(&self) -> usize {
        lock(&self.0.queue).orders.len()
    }

    /// Has the shard begin a generation with a saved state, or with the program's initial values.
    /// Orders of an earlier generation are void.
    pub(super) fn begin<T: Scalar + bytemuck::Pod>(
        &self,
        state: Option<ShardState<T>>,
        generation: Generation,
        step: GlobalStep,
    ) -> Begun {
        let (sender, begun) = oneshot::channel();
        let mut queue = lock(&self.0.queue);
        queue.orders.clear();
        queue.sent = 0;
        let first = queue.last + 1;
        let restored = state.is_some();
        if let Some(state) = state {
            for (tensor, data) in pieces(&state) {
                queue.push(Message::Restore(proto::Tensor { tensor, data }));
            }
            queue.push(Message::RestoreScalars(scalars(&state)));
        }
        let (generation, global_step) = (generation.get(), step.get());
        queue.push(Message::Begin(proto::BeginGeneration { generation, global_step, restored }));
        queue.beginning = Some(Beginning { orders: first..=queue.last, begun: sender });
        begun
    }
}

impl Queue {
    fn push(&mut self, order: Message) {
        self.last += 1;
        self.orders.push_back(Order { number: self.last, order: Some(order) });
        self.flush();
    }

    /// That order was carried out; if it is the one waited for, the generation has begun.
    fn begun(&mut self, number: u64) {
        if let Some(beginning) = self.beginning.take_if(|it| *it.orders.end() == number) {
            drop(beginning.begun.send(Ok(())));
        }
    }

    fn flush(&mut self) {
        let Some(sender) = &self.sender else { return };
        let new: Vec<Order> = self.orders.iter().skip(self.sent).cloned().collect();
        self.sent = self.orders.len();
        if !new.is_empty() {
            drop(sender.send(batch(new)));
        }
    }

    /// Takes out what is done up to this number.
    fn take_done(&mut self, number: u64) -> Vec<Order> {
        let count = self.orders.iter().take_while(|order| order.number <= number).count();
        self.orders.drain(..count).collect()
    }

    /// Whether this is the answer to the order that is under way. One to an order that was taken
    /// back says nothing any more.
    ///
    /// # Errors
    /// No server answers so.
    fn awaits(&self, answer: &Done) -> Result<bool, String> {
        let Done { number, done } = answer;
        match self.orders.front() {
            Some(order) if order.number == *number => match answers(order.order.as_ref(), done) {
                true => Ok(true),
                false => Err(format!("the answer to order {number} is one to another order")),
            },
            Some(order) if order.number < *number => {
                let expected = order.number;
                Err(format!("expected the answer to order {expected}, got that to {number}"))
            }
            None if self.last < *number => {
                Err(format!("an answer to order {number} came, but {} is the last", self.last))
            }
            _ => Ok(false),
        }
    }

    /// The order under way is done.
    fn done(&mut self) {
        self.orders.pop_front();
        self.sent = self.sent.saturating_sub(1);
    }
}

/// Whether an answer is one to this order.
fn answers(order: Option<&Message>, answer: &Option<Answer>) -> bool {
    match (order, answer) {
        (Some(Message::Apply(apply)), Some(Answer::Applied(it))) => apply.variable == it.variable,
        (Some(Message::Save(_)), Some(Answer::Saved(_) | Answer::SavedScalars(_))) => true,
        (Some(Message::Begin(_)), Some(Answer::Begun(_))) => true,
        (Some(Message::Apply(_) | Message::Save(_) | Message::Begin(_)), None) => false,
        (_, answer) => matches!(answer, None | Some(Answer::Failed(_) | Answer::NotFinite(_))),
    }
}

/// Keeps the link to one server: connects, passes on, connects again; begins a new generation when
/// the server has lost its state.
pub(super) async fn keep<T: Scalar + bytemuck::Pod>(
    node: Arc<Node<T>>,
    server: usize,
    link: LinkHandle,
) {
    let mut life = None;
    let mut attempt = 0_u32;
    loop {
        match connect(&node, server, &link, &mut life).await {
            Ok(incoming) => {
                attempt = 0;
                let reason = read(&node, server, &link, incoming).await;
                tracing::warn!(server, reason, "the link to a parameter server broke");
            }
            // Said once in a while: a server that never comes must not go unnoticed.
            Err(reason) if attempt % 30 == 5 => {
                tracing::warn!(server, reason, "no link to a parameter server yet");
            }
            Err(_) => {}
        }
        lock(&link.0.queue).sender = None;
        // A server that was away is told of the end when it is back.
        if node.is_over() && link.is_idle() {
            return;
        }
        let pause = Duration::from_millis(50 << attempt.min(5)).min(Duration::from_secs(1));
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

async fn connect<T: Scalar + bytemuck::Pod>(
    node: &Arc<Node<T>>,
    server: usize,
    link: &LinkHandle,
    life: &mut Option<u64>,
) -> Result<Receiving<Done>, String> {
    let reach = &node.settings.reach;
    let (sender, outgoing) = batches();
    let hello = proto::ServeHello {
        fingerprint: node.settings.fingerprint.clone().into(),
        life: node.life,
    };
    let hello = Order { number: 0, order: Some(Message::Hello(hello)) };
    drop(sender.send(batch(vec![hello])));
    let attempt = async {
        let opened: Result<Receiving<Done>, _> = reach.open(server, "Serve", outgoing).await;
        let mut incoming = opened.map_err(|it| crate::client::describe(&it))?;
        let first = incoming.message().await.map_err(|it| crate::client::describe(&it))?;
        match first.and_then(|done| done.done) {
            Some(Answer::Welcome(welcome)) => Ok((welcome, incoming)),
            _ => Err("the first answer was no welcome".to_owned()),
        }
    };
    let (welcome, incoming) = tokio::time::timeout(Duration::from_secs(5), attempt)
        .await
        .map_err(|_| "no answer in time".to_owned())??;
    if let Some(ended) = welcome.ended {
        node.learn_of_end(ended);
    }
    let known = life.replace(welcome.life);
    let lost = known.is_some_and(|known| known != welcome.life);
    if lost {
        // Before it hears anything: it has nothing of what orders are about.
        node.give_up_life();
    }
    let mut queue = lock(&link.0.queue);
    queue.sender = Some(sender);
    queue.sent = 0;
    if !lost {
        let done = queue.take_done(welcome.done);
        queue.flush();
        drop(queue);
        unanswered(node, (server, link), done);
        return Ok(incoming);
    }
    // What it was told before is lost with its state; whoever waits for it to begin tries again.
    queue.orders.clear();
    queue.beginning = None;
    drop(queue);
    tracing::warn!(server, "a parameter server came back without its state");
    node.renew();
    Ok(incoming)
}

/// These orders were carried out, and their answers were lost with a connection.
fn unanswered<T: Scalar + bytemuck::Pod>(
    node: &Arc<Node<T>>,
    (server, link): (usize, &LinkHandle),
    done: Vec<Order>,
) {
    for order in done {
        match order.order {
            Some(Message::Apply(apply)) => {
                node.link_applied(apply.variable.and_then(|it| usize::try_from(it).ok()));
            }
            Some(Message::Save(_)) => node.save_again(server, order.number),
            Some(Message::Begin(_)) => {
                lock(&link.0.queue).begun(order.number);
            }
            _ => {}
        }
    }
}

pub(super) async fn read<T: Scalar + bytemuck::Pod>(
    node: &Arc<Node<T>>,
    server: usize,
    link: &LinkHandle,
    mut incoming: Receiving<Done>,
) -> String {
    let mut gathered = (0, Gathered::default());
    loop {
        let answer = match incoming.message().await {
            Ok(Some(answer)) => answer,
            Ok(None) => return "it closed the connection".to_owned(),
            Err(status) => {
                node.broke("a parameter server", &status);
                return crate::client::describe(&status);
            }
        };
        if let Err(reason) = take(node, server, link, &mut gathered, answer) {
            node.nonsense("a parameter server", &reason);
            return reason;
        }
    }
}

/// Takes one answer; an error closes the connection, over whose successor orders are sent again.
fn take<T: Scalar + bytemuck::Pod>(
    node: &Arc<Node<T>>,
    server: usize,
    link: &LinkHandle,
    gathered: &mut (u64, Gathered),
    answer: Done,
) -> Result<(), String> {
    if let Some(Answer::Leaving(_)) = answer.done {
        node.link_leaves(server);
        return Ok(());
    }
    let mut queue = lock(&link.0.queue);
    if !queue.awaits(&answer)? {
        return Ok(());
    }
    let number = answer.number;
    if gathered.0 != number {
        // What came of a state whose order was taken back is void.
        *gathered = (number, Gathered::default());
    }
    match answer.done {
        Some(Answer::Saved(tensor)) => {
            drop(queue);
            return gathered.1.push::<T>(tensor, || Layout::of(node, server));
        }
        Some(Answer::SavedScalars(scalars)) => {
            drop(queue);
            let like = Layout::of(node, server);
            let state = std::mem::take(&mut gathered.1).state(&like, &scalars)?;
            lock(&link.0.queue).done();
            node.link_saved((server, number), state);
        }
        Some(Answer::Applied(applied)) => {
            queue.done();
            drop(queue);
            node.link_applied(applied.variable.and_then(|it| usize::try_from(it).ok()));
        }
        Some(Answer::Failed(reason)) => {
            queue.done();
            let beginning = queue.beginning.take_if(|it| it.orders.contains(&number));
            drop(queue);
            let reason = wire::reason(reason);
            match beginning {
                Some(beginning) => drop(beginning.begun.send(Err(reason))),
                None => node.order_failed((server, number), Failure::Other(reason)),
            }
        }
        Some(Answer::NotFinite(reason)) => {
            queue.done();
            drop(queue);
            let failure = Failure::NotFinite(wire::reason(reason));
            node.order_failed((server, number), failure);
        }
        Some(Answer::Begun(_)) => {
            queue.done();
            queue.begun(number);
        }
        Some(Answer::Welcome(_) | Answer::Leaving(_)) | None => queue.done(),
    }
    Ok(())
}

/// A state's tensors as bytes, in pieces.
pub(super) fn pieces<T: Scalar + bytemuck::Pod>(
    state: &ShardState<T>,
) -> impl Iterator<Item = (u32, Bytes)> {
    state.tensors.iter().enumerate().flat_map(|(place, (_, tensor))| {
        let pieces = Wire::Native.pieces(Arc::clone(tensor), 0..tensor.len());
        pieces.map(move |(_, data)| (place as u32, data))
    })
}

pub(super) fn scalars<T: Scalar>(state: &ShardState<T>) -> proto::Scalars {
    proto::Scalars {
        scalars: state
            .scalars
            .iter()
            .map(|(name, value)| (name.clone(), value.to_bits()))
            .collect(),
        counters: state.counters.iter().cloned().collect(),
        generation: state.generation.get(),
        global_step: state.global_step.get(),
    }
}
