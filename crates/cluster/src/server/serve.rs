//! Serving until training is over: the listener, the tasks, the health, the shutdown.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sync_replicas::Scalar;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::leader::Leader;
use super::leader::link_keeper::LinkKeeper;
use super::leader::recovery::Recovery;
use super::leader::server_handle::ServerHandle;
use super::process::{Commander, Server};
use super::serve_error::ServeError;
use super::transport::{self, Calls, Services, TransportSettings, door, secured};
use crate::index::ServerIndex;
use crate::proto::Ended;
use crate::security::{AdmissionLayer, wall_clock};
use crate::socket;

/// How long connections may take to close after the end was told.
const CLOSING: Duration = Duration::from_secs(5);

/// Serves on a socket until training is over; returns why it ended.
///
/// # Errors
/// [`ServeError`].
pub async fn serve<T: Scalar>(
    server: Arc<Server<T>>,
    listener: &Listener,
    settings: TransportSettings,
) -> Result<String, ServeError> {
    serve_with_incoming(server, listener.incoming()?, settings).await
}

/// A listening socket, for several servers one after the other: callers that connect in between
/// wait for the next.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on an address.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let bound = std::net::TcpListener::bind(address).and_then(|socket| {
            socket.set_nonblocking(true)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        });
        bound.map_err(|source| ServeError::Bind { address, source })
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The incoming connections, while the stream is read. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub(crate) fn incoming(
        &self,
    ) -> Result<impl Stream<Item = io::Result<(TcpStream, Option<SocketAddr>)>> + use<>, ServeError>
    {
        let address = self.address;
        let socket = self.socket.try_clone().and_then(TcpListener::from_std);
        let socket = socket.map_err(|source| ServeError::Bind { address, source })?;
        Ok(TcpIncoming::from(socket).map(|accepted| accepted.map(socket::accepted)))
    }
}

/// The same on connections of any kind, each with its peer's address.
///
/// # Errors
/// [`ServeError`].
pub async fn serve_with_incoming<T, I, IO, E>(
    server: Arc<Server<T>>,
    incoming: I,
    settings: TransportSettings,
) -> Result<String, ServeError>
where
    T: Scalar,
    I: Stream<Item = Result<(IO, Option<SocketAddr>), E>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    if let Some(leader) = server.leader() {
        // Before the others hear of it.
        Recovery::new(Arc::clone(leader)).learn_run();
        for (index, handle) in leader.servers.iter().enumerate() {
            if let ServerHandle::Linked(link) = handle {
                let (leader, index) = (Arc::clone(leader), ServerIndex::new(index));
                tasks.spawn(LinkKeeper::new(leader, index, link.clone()).keep());
            }
        }
        tasks.spawn(Arc::clone(leader).keep_time());
        tasks.spawn(Recovery::new(Arc::clone(leader)).keep());
    }
    let replicas = server.settings.config.total_num_replicas();
    let most = door::most_connections(replicas, server.settings.placement.shards());
    let calls = Arc::clone(&server) as Arc<dyn Calls>;
    let ending = |reporter| over(Arc::clone(&server), reporter);
    answer_calls(calls, incoming, most, settings, ending).await?;
    let replaced = server.leader().and_then(|it| it.with(|leader| leader.replaced.clone()));
    if let Some(reason) = replaced {
        return Err(ServeError::Replaced { reason });
    }
    let over = server.own.over.borrow().clone();
    match over {
        Some(Ended { reason, failed: true, .. }) => Err(ServeError::Failed { reason }),
        Some(Ended { reason, .. }) => Ok(reason),
        None => {
            let first = |leader: &mut Leader<T>| leader.refusals.values().next().cloned();
            let refused = server.leader().and_then(|leader| leader.with(first));
            if let Some(reason) = refused {
                return Err(ServeError::Refused { reason });
            }
            Err(ServeError::Abandoned { seconds: server.settings.reconnect_timeout.as_secs_f64() })
        }
    }
}

/// Answers calls, over at most so many connections, until `ending` completes; then closes them.
pub(super) async fn answer_calls<I, IO, E, F>(
    calls: Arc<dyn Calls>,
    incoming: I,
    most: usize,
    settings: TransportSettings,
    ending: impl FnOnce(HealthReporter) -> F,
) -> Result<(), ServeError>
where
    I: Stream<Item = Result<(IO, Option<SocketAddr>), E>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let reporter = HealthReporter::new();
    let health = HealthService::from_health_reporter(reporter.clone());
    reporter.set_serving::<transport::Name>().await;
    let (told, closing) = tokio::sync::oneshot::channel();
    let ending = ending(reporter);
    let ending = Box::pin(async {
        ending.await;
        // Fails only when the server has ended.
        let _ = told.send(());
    });
    let services = Services { health: HealthServer::new(health), calls };
    let TransportSettings { guard, tls } = settings;
    let admission = AdmissionLayer::new(guard, wall_clock);
    let incoming = secured::secure(door::open(incoming, most, admission.denials()), tls);
    let served = transport::serve(services, incoming, admission, ending);
    // A connection whose other end vanished while it was made never closes by itself.
    let closed = async {
        match closing.await {
            Ok(()) => tokio::time::sleep(CLOSING).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = served => Ok(served?),
        () = closed => {
            tracing::warn!("connections did not close in time; they are dropped");
            Ok(())
        }
    }
}

/// Waits for the end of training, then until all have heard of it.
async fn over<T: Scalar>(server: Arc<Server<T>>, reporter: HealthReporter) {
    let mut over = server.own.over.subscribe();
    let alone = async {
        match &server.commander {
            Commander::Leader(leader) => leader.gave_up.notified().await,
            Commander::Follower(follower) => follower.abandoned().await,
        }
    };
    tokio::select! {
        // Fails only when the server is gone.
        _ = over.wait_for(Option::is_some) => {}
        () = alone => {}
    }
    reporter.set_not_serving::<transport::Name>().await;
    if server.own.is_over() {
        server.until_all_have_heard().await;
    }
    server.own.connections().close_all();
}
