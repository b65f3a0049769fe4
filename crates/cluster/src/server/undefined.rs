//! A parameter server without a program: it learns from the first hello what is trained, and gives
//! way to a server of that.
//!
//! Number 0 hears it from a replica, the others from the coordinator, so that there is one source
//! of it. Whoever says hello meanwhile is asked to come again. Invariant: what it takes
//! makes a server that agrees with the program, and needs no more memory than was allowed (P-27).

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sync_replicas::driver::ServerDuties;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::Status;

use super::counters::Counters;
use super::handshake;
use super::serve::answer_calls;
use super::serve_error::ServeError;
use super::service::{self, once};
use super::status::{PROGRAM, ServerStatus};
use super::transport::{self, Answering, Calls, TransportSettings, door};
use crate::batches::Batches;
use crate::definition::{Definition, DefinitionError, Limits};
use crate::index::ServerIndex;
use crate::proto::order::Order as Orders;
use crate::proto::to_server::Message;
use crate::proto::{
    ControlReply, ControlRequest, Done, Item, Order, RecordRequest, Recorded, StatusRequest,
    ToReplica, ToServer,
};
use crate::stream::{self, Receiving};

/// A program's description of itself.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) definition: Definition,
    /// What all must agree on, as received.
    pub(crate) items: Vec<Item>,
    pub(crate) duties: ServerDuties,
}

/// A server that has no program yet.
pub(crate) struct Undefined {
    index: ServerIndex,
    limits: Limits,
    /// How long others than number 0 wait for the coordinator.
    patience: Duration,
    /// Set once it has come.
    program: watch::Sender<Option<Program>>,
    counters: Counters,
}

impl Undefined {
    pub(crate) fn new(index: ServerIndex, limits: Limits, patience: Duration) -> Arc<Self> {
        let (program, counters) = (watch::channel(None).0, Counters::default());
        Arc::new(Self { index, limits, patience, program, counters })
    }

    /// Listens until a program has come, and closes the connections.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(crate) async fn program<I, IO, E>(
        self: Arc<Self>,
        incoming: I,
        settings: TransportSettings,
    ) -> Result<Program, ServeError>
    where
        I: Stream<Item = Result<(IO, Option<SocketAddr>), E>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        let most = door::most_connections(self.limits.replicas, self.limits.servers);
        let calls = Arc::clone(&self) as Arc<dyn Calls>;
        let mut program = self.program.subscribe();
        let mut came = program.clone();
        let ending = |reporter: tonic_health::server::HealthReporter| async move {
            // Fails only when the listener is gone.
            drop(came.wait_for(Option::is_some).await);
            reporter.set_not_serving::<transport::Name>().await;
        };
        let served = answer_calls(calls, incoming, most, settings, ending);
        let alone = async {
            match self.index {
                ServerIndex::LEADER => std::future::pending().await,
                _ => tokio::time::sleep(self.patience).await,
            }
        };
        tokio::select! {
            served = served => served?,
            () = alone => {}
        }
        let program = program.borrow_and_update().clone();
        program.ok_or(ServeError::Abandoned { seconds: self.patience.as_secs_f64() })
    }

    /// A look at it: a server without variables.
    pub(crate) fn status(&self) -> ServerStatus {
        let serving = (self.index == ServerIndex::LEADER).then_some(false);
        let waiting_for = Some(PROGRAM.to_owned());
        ServerStatus { server: self.index.get(), serving, waiting_for, ..ServerStatus::default() }
    }

    /// Takes a replica's hello.
    async fn train(
        self: Arc<Self>,
        mut incoming: Receiving<ToServer>,
    ) -> Result<Batches<ToReplica>, Status> {
        let hello = handshake::hello(&mut incoming, &self.counters, |first: ToServer| {
            if let Some(Message::Hello(hello)) = first.message { Some(hello) } else { None }
        });
        let hello = hello.await?;
        if self.index != ServerIndex::LEADER {
            return Err(Status::unavailable("the coordinator has not said yet what is trained"));
        }
        let (last_step, nan_guard) = (hello.last_step, hello.nan_guard);
        let duties = ServerDuties { last_step, nan_guard, checkpoints: None };
        Err(self.define(hello.agreement, duties))
    }

    /// Takes the coordinator's hello.
    async fn follow(
        self: Arc<Self>,
        mut incoming: Receiving<Order>,
    ) -> Result<Batches<Done>, Status> {
        let hello = handshake::hello(&mut incoming, &self.counters, |order: Order| {
            if let Some(Orders::Hello(hello)) = order.order { Some(hello) } else { None }
        });
        let hello = hello.await?;
        if self.index == ServerIndex::LEADER {
            return Err(Status::failed_precondition("ps 0 coordinates; it serves no coordinator"));
        }
        Err(self.define(hello.agreement, ServerDuties::default()))
    }

    /// Takes what is trained, if it is not yet known; what to tell the caller.
    fn define(&self, items: Vec<Item>, duties: ServerDuties) -> Status {
        match Definition::parse(&items).and_then(|it| it.check(&self.limits).map(|()| it)) {
            Ok(definition) => {
                self.program.send_if_modified(|program| {
                    let is_first = program.is_none();
                    program.get_or_insert(Program { definition, items, duties });
                    is_first
                });
                Status::unavailable("the server begins to serve this program; come again")
            }
            Err(error @ DefinitionError::Nonsense(_)) => {
                self.counters.nonsense("a caller", &error.to_string());
                Status::invalid_argument(error.to_string())
            }
            Err(error) => {
                let server = self.index.get();
                let reason = format!("parameter server {server} cannot serve this: {error}");
                tracing::warn!("{reason}");
                Status::failed_precondition(reason)
            }
        }
    }
}

impl Calls for Undefined {
    fn call(self: Arc<Self>, request: http::Request<tonic::body::Body>) -> Answering {
        Box::pin(async move {
            Ok(match service::method(&request) {
                "Train" => stream::answer(request, |it| self.train(it)).await,
                "Serve" => stream::answer(request, |it| self.follow(it)).await,
                "Status" => {
                    once(request, move |_: StatusRequest| service::reply(&self.status())).await
                }
                "Control" => once(request, not_begun::<ControlRequest, ControlReply>).await,
                "Record" => once(request, not_begun::<RecordRequest, Recorded>).await,
                method => service::unknown(method),
            })
        })
    }
}

fn not_begun<Q, A>(_: Q) -> Result<A, Status> {
    Err(Status::failed_precondition("no training has begun: the server waits for a program"))
}
