//! A server's connections without sockets, for tests: bytes go in as if they came over one, and the
//! server's messages come out.

use std::convert::Infallible;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use prost::Message as _;
use sync_replicas::driver::Generation;
use sync_replicas::{GlobalStep, Snapshot};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt;
use tonic::Status;

use super::leader::Phase;
use super::leader::initial_values::InitialValues;
use super::leader::link_keeper::LinkKeeper;
use super::leader::recovery::Recovery;
use super::leader::server_handle::ServerHandle;
use super::leader::shared::SharedLeader;
use super::link::Link;
use super::parameter_server::Start;
use super::process::Server;
use super::transfer::{pieces, scalars};
use super::{replica_stream, service};
use crate::batches::Batches;
use crate::index::ServerIndex;
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Message;
use crate::proto::{self, ControlRequest, Done, Order, ToReplica, ToServer};
use crate::stream::Receiving;

/// A message as framed on a connection: not compressed, its length, its bytes.
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

/// Messages written as bytes.
pub(crate) fn receiving<M: prost::Message + Default>() -> (UnboundedSender<Bytes>, Receiving<M>) {
    let (sender, bytes) = unbounded_channel();
    (sender, Receiving::new(tonic::body::Body::new(Pipe(bytes))))
}

/// The messages of one connection, from its first byte to its last.
pub(crate) fn whole<M: prost::Message + Default>(bytes: &[u8]) -> Receiving<M> {
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
    pub(crate) async fn open(server: &Arc<Server<f32>>, hello: ToServer) -> Result<Self, Status> {
        let (sender, incoming) = receiving();
        drop(sender.send(framed(&hello.encode_to_vec()).into()));
        Ok(Self { sender, answers: replica_stream::train(Arc::clone(server), incoming).await? })
    }

    pub(crate) fn say(&self, message: &ToServer) {
        drop(self.sender.send(framed(&message.encode_to_vec()).into()));
    }

    /// Sends no more, and hears all remaining answers.
    pub(crate) async fn close(self) -> Vec<ToReplica> {
        drop(self.sender);
        self.answers.collect().await
    }

    /// The next answer; `None` once the server has closed the connection.
    pub(crate) async fn hear(&mut self) -> Option<proto::to_replica::Message> {
        self.answers.next().await?.message
    }
}

/// Plays these bytes as a replica's connection, to its end.
pub(crate) async fn train(server: &Arc<Server<f32>>, bytes: &[u8]) {
    if let Ok(mut answers) = replica_stream::train(Arc::clone(server), whole(bytes)).await {
        while answers.next().await.is_some() {}
    }
}

/// Plays these bytes as the coordinator's connection, to its end; returns the answers.
pub(crate) async fn serve(server: &Arc<Server<f32>>, bytes: &[u8]) -> Vec<Done> {
    let Ok(answers) = Arc::clone(server).follow(whole(bytes)).await else { return Vec::new() };
    answers.collect().await
}

/// One call of the controller of the training.
pub(crate) fn control(server: &Arc<Server<f32>>, request: ControlRequest) {
    drop(service::control(server, request));
}

/// Begins the first generation of a coordinator with no other servers.
pub(crate) async fn begin(server: &Arc<Server<f32>>) {
    let begun = begin_generation(leader(server)).await;
    assert!(begun.is_ok(), "nothing stands in its way");
}

/// Has a coordinator wait for the chief's initial values.
pub(crate) fn want_values(server: &Server<f32>) {
    leader(server).with(|it| it.initial_values.iter_mut().for_each(InitialValues::want));
}

/// The values that the chief has sent, by variable, once they are whole.
pub(crate) fn initial_values(server: &Server<f32>) -> Option<Vec<Vec<f32>>> {
    let values = leader(server).with(|it| it.initial_values.as_mut()?.hand_over())?;
    Some(values.iter().map(|array| array.iter().copied().collect()).collect())
}

/// The leader, which parameter server 0 has.
pub(super) fn leader(server: &Server<f32>) -> &Arc<SharedLeader<f32>> {
    server.leader().expect("it is server 0")
}

/// The leader's link to another server.
pub(super) fn link_to(server: &Server<f32>, other: ServerIndex) -> &Link {
    match &leader(server).servers[other.get()] {
        ServerHandle::Linked(link) => link,
        ServerHandle::Local(_) => panic!("it is another process's"),
    }
}

async fn begin_generation(leader: &Arc<SharedLeader<f32>>) -> Result<(), impl Debug> {
    leader.with(|leader| leader.phase = Phase::Recovering);
    Recovery::new(Arc::clone(leader)).begin_generation().await
}

/// The values of a server.
pub(crate) fn snapshot(server: &Server<f32>) -> Arc<Snapshot<f32>> {
    server.own.shard().snapshot()
}

/// Puts another server into the first generation.
pub(crate) fn begin_served(server: &Server<f32>) {
    let (generation, global_step) = (Generation::new(1), GlobalStep::new(0));
    let start = Start { run: server.settings.run, generation, global_step, checkpoint: None };
    server.own.begin(None, start).expect("it is the first");
}

/// The orders that put a server into a generation, at a step, with its present state.
pub(crate) fn restoring(server: &Server<f32>, generation: u64, global_step: i64) -> Vec<Message> {
    let state = server.own.shard().state();
    let tensors = pieces(&state).map(Message::Restore).collect::<Vec<_>>();
    let begin = proto::BeginGeneration {
        generation,
        global_step,
        restored: true,
        checkpoint: String::new(),
    };
    let rest = [Message::RestoreScalars(scalars(&state)), Message::Begin(begin)];
    tensors.into_iter().chain(rest).collect()
}

/// A server's answer to an order; `server` is the one that saves.
fn right_answers(server: &Server<f32>, order: Order) -> Vec<Done> {
    let answers: Vec<Option<Answer>> = match order.order {
        Some(Message::Apply(apply)) => {
            vec![Some(Answer::Applied(proto::Applied {
                variable: apply.variable,
                seconds: 0.0,
                usage: None,
            }))]
        }
        Some(Message::Begin(_)) => vec![Some(Answer::Begun(true))],
        Some(Message::Save(_)) => saved(server).into_iter().map(Some).collect(),
        _ => vec![None],
    };
    answers.into_iter().map(|done| Done { number: order.number, done }).collect()
}

/// A server's state as it is sent.
pub(crate) fn saved(server: &Server<f32>) -> Vec<Answer> {
    let state = server.own.shard().state();
    pieces(&state).map(Answer::Saved).chain([Answer::SavedScalars(scalars(&state))]).collect()
}

/// A leader's link to another server, whose answers the test writes.
pub(crate) struct ServedLink {
    orders: Link,
    index: ServerIndex,
    other: Arc<Server<f32>>,
}

impl ServedLink {
    /// The one to another server.
    pub(crate) fn of(server: &Server<f32>, other: Arc<Server<f32>>) -> Self {
        let index = other.own.index;
        Self { orders: link_to(server, index).clone(), index, other }
    }

    /// Begins the first generation of two servers.
    pub(crate) async fn begin(server: &Arc<Server<f32>>, other: Arc<Server<f32>>) -> Self {
        let link = Self::of(server, other);
        Self::begin_all(server, std::slice::from_ref(&link)).await;
        link
    }

    /// Begins the first generation of all servers.
    pub(crate) async fn begin_all(server: &Arc<Server<f32>>, links: &[Self]) {
        let answers = async {
            for link in links {
                while link.orders.orders().is_empty() {
                    tokio::task::yield_now().await;
                }
                link.answer_all(server).await;
            }
        };
        let (begun, ()) = tokio::join!(begin_generation(leader(server)), answers);
        assert!(begun.is_ok(), "nothing stands in its way");
    }

    /// Sends an order whose answer has no content.
    pub(crate) fn decide(&self) {
        self.orders.send(Message::Decide(proto::Decisions::default()));
    }

    /// Has the other server save its state.
    pub(crate) fn save(&self) {
        self.orders.send(Message::Save(proto::SaveState::default()));
    }

    /// Plays these bytes as a connection of the other server's, to its end.
    pub(crate) async fn hear(&self, server: &Arc<Server<f32>>, bytes: &[u8]) {
        let leader = Arc::clone(leader(server));
        LinkKeeper::new(leader, self.index, self.orders.clone()).read(whole(bytes)).await;
    }

    /// Answers all open orders as a server does; how many there were, and how many answers.
    pub(crate) async fn answer_all(&self, server: &Arc<Server<f32>>) -> (usize, usize) {
        let orders = self.orders.orders();
        let count = orders.len();
        let answers = orders.into_iter().flat_map(|order| right_answers(&self.other, order));
        let answers: Vec<_> = answers.map(|done| framed(&done.encode_to_vec())).collect();
        self.hear(server, &answers.concat()).await;
        (count, answers.len())
    }
}
