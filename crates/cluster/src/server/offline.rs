//! A server's connections without sockets, for tests: bytes go in as they come over one, and what
//! the server says comes out.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use prost::Message;
use sync_replicas::{Generation, GlobalStep, Snapshot};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt;
use tonic::Status;

use super::link::{self, LinkHandle, pieces, scalars};
use super::node::{Node, lock};
use super::service;
use crate::batches::Batches;
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Orders;
use crate::proto::{self, ControlRequest, Done, Order, ToReplica, ToServer};
use crate::stream::Receiving;

/// A message as it stands on a connection: not compressed, its length, its bytes.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// A connection's bytes, written while they are read.
pub(crate) struct Pipe(UnboundedReceiver<Bytes>);

impl Body for Pipe {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Messages that are written as bytes.
pub(crate) fn receiving<M: Message + Default>() -> (UnboundedSender<Bytes>, Receiving<M>) {
    let (sender, bytes) = unbounded_channel();
    (sender, Receiving::new(tonic::body::Body::new(Pipe(bytes))))
}

/// The messages of one connection, from its first byte to its last.
pub(crate) fn whole<M: Message + Default>(bytes: &[u8]) -> Receiving<M> {
    let (sender, receiving) = receiving();
    drop(sender.send(Bytes::copy_from_slice(bytes)));
    receiving
}

/// A replica's connection that stays open.
pub(crate) struct Talk {
    sender: UnboundedSender<Bytes>,
    answers: Batches<ToReplica>,
}

impl Talk {
    /// Connects and says hello.
    pub(crate) async fn open(node: &Arc<Node<f32>>, hello: ToServer) -> Result<Self, Status> {
        let (sender, incoming) = receiving();
        drop(sender.send(framed(&hello.encode_to_vec()).into()));
        Ok(Self { sender, answers: Arc::clone(node).train(incoming).await? })
    }

    pub(crate) fn say(&self, message: &ToServer) {
        drop(self.sender.send(framed(&message.encode_to_vec()).into()));
    }

    /// The next answer; `None` once the server has closed the connection.
    pub(crate) async fn hear(&mut self) -> Option<proto::to_replica::Message> {
        self.answers.next().await?.message
    }
}

/// A replica's connection of these bytes, to its end.
pub(crate) async fn train(node: &Arc<Node<f32>>, bytes: &[u8]) {
    if let Ok(mut answers) = Arc::clone(node).train(whole(bytes)).await {
        while answers.next().await.is_some() {}
    }
}

/// The coordinator's connection of these bytes, to its end; what was answered.
pub(crate) async fn serve(node: &Arc<Node<f32>>, bytes: &[u8]) -> Vec<Done> {
    let Ok(answers) = Arc::clone(node).serve_link(whole(bytes)).await else { return Vec::new() };
    answers.collect().await
}

/// One call of whoever controls the training.
pub(crate) fn control(node: &Arc<Node<f32>>, request: ControlRequest) {
    drop(service::control(node, request));
}

/// Begins the first generation of a coordinator with no other servers.
pub(crate) async fn begin(node: &Arc<Node<f32>>) {
    node.stale.store(false, Ordering::Release);
    assert!(node.begin_generation().await.is_ok(), "nothing stands in its way");
}

/// The values of a server.
pub(crate) fn snapshot(node: &Node<f32>) -> Arc<Snapshot<f32>> {
    node.shard().snapshot()
}

/// Puts another server into the first generation.
pub(crate) fn begin_served(node: &Node<f32>) {
    node.begin_shard(None, Generation::new(1), GlobalStep::new(0)).expect("it is the first");
}

/// The orders that put a server into a generation, at a step, with its present state.
pub(crate) fn restoring(node: &Node<f32>, generation: u64, global_step: i64) -> Vec<Orders> {
    let state = node.shard().state();
    let tensors = pieces(&state)
        .map(|(tensor, data)| Orders::Restore(proto::Tensor { tensor, data }))
        .collect::<Vec<_>>();
    let begin = proto::BeginGeneration { generation, global_step, restored: true };
    let rest = [Orders::RestoreScalars(scalars(&state)), Orders::Begin(begin)];
    tensors.into_iter().chain(rest).collect()
}

/// What a server answers to an order; `node` is the one that saves.
fn right_answers(node: &Node<f32>, order: Order) -> Vec<Done> {
    let answers: Vec<Option<Answer>> = match order.order {
        Some(Orders::Apply(apply)) => {
            vec![Some(Answer::Applied(proto::Applied { variable: apply.variable }))]
        }
        Some(Orders::Begin(_)) => vec![Some(Answer::Begun(true))],
        Some(Orders::Save(_)) => saved(node).into_iter().map(Some).collect(),
        _ => vec![None],
    };
    answers.into_iter().map(|done| Done { number: order.number, done }).collect()
}

/// A server's state as it is sent.
pub(crate) fn saved(node: &Node<f32>) -> Vec<Answer> {
    let state = node.shard().state();
    let tensors = pieces(&state);
    let tensors = tensors.map(|(tensor, data)| Answer::Saved(proto::Tensor { tensor, data }));
    tensors.chain([Answer::SavedScalars(scalars(&state))]).collect()
}

/// A coordinator's link to another server, whose answers are written by hand.
pub(crate) struct Link {
    handle: LinkHandle,
    other: Arc<Node<f32>>,
}

impl Link {
    /// Begins the first generation of a coordinator of two servers.
    pub(crate) async fn begin(node: &Arc<Node<f32>>, other: Arc<Node<f32>>) -> Self {
        let link = Self { handle: LinkHandle::new(), other };
        let hub = node.hub.as_ref().expect("it coordinates");
        lock(hub).links = vec![link.handle.clone()];
        node.stale.store(false, Ordering::Release);
        let answers = async {
            while link.handle.orders().is_empty() {
                tokio::task::yield_now().await;
            }
            link.answer_all(node).await;
        };
        let (begun, ()) = tokio::join!(node.begin_generation(), answers);
        assert!(begun.is_ok(), "nothing stands in its way");
        link
    }

    /// Has the other server save its state.
    pub(crate) fn save(&self) {
        self.handle.send(Orders::Save(proto::SaveState {}));
    }

    /// A connection of the other server's of these bytes, to its end.
    pub(crate) async fn hear(&self, node: &Arc<Node<f32>>, bytes: &[u8]) {
        link::read(node, 1, &self.handle, whole(bytes)).await;
    }

    /// Answers all open orders as a server does.
    pub(crate) async fn answer_all(&self, node: &Arc<Node<f32>>) {
        let orders = self.handle.orders().into_iter();
        let answers = orders.flat_map(|order| right_answers(&self.other, order));
        let bytes: Vec<u8> = answers.flat_map(|done| framed(&done.encode_to_vec())).collect();
        self.hear(node, &bytes).await;
    }
}
