//! gRPC on connections of any kind, with nothing of the training in its types.
//!
//! A connection, the service and the end of serving are trait objects here, so that HTTP/2 is
//! compiled once for all number types and kinds of sockets; a call's cost does not show it.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::Connected;
use tonic::transport::{Server, ServerTlsConfig};
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tower::Service;

use crate::client::{FRAME, WINDOW};
use crate::security::{AdmissionLayer, Guard, wall_clock};
use crate::stream;

/// How a server listens.
#[derive(Clone, Default)]
pub struct ServeSettings {
    /// Who asks callers for the key.
    pub guard: Option<Arc<Guard>>,
    /// TLS, mutual where it has a CA.
    pub tls: Option<ServerTlsConfig>,
}

impl std::fmt::Debug for ServeSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeSettings").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// What comes of a call.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Connections as they come in.
pub(super) type Incoming = Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>>;

/// Serving, until its end.
pub(super) type Served = Pin<Box<dyn Future<Output = Result<(), tonic::transport::Error>> + Send>>;

/// What answers the calls of [`stream::SERVICE`].
pub(super) trait Calls: Send + Sync {
    /// Answers one call.
    fn call(self: Arc<Self>, request: Request<Body>) -> Answer;
}

/// The services of a parameter server: health, and all others.
#[derive(Clone)]
pub(super) struct Services {
    pub(super) health: HealthServer<HealthService>,
    pub(super) calls: Arc<dyn Calls>,
}

/// Serves until `ending` has come and all connections are closed.
///
/// The future is in a box since one that is not is compiled by each crate that awaits it.
///
/// # Errors
/// When the settings of TLS cannot be used, or the transport failed.
pub(super) fn serve(
    services: Services,
    incoming: Incoming,
    settings: ServeSettings,
    ending: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> Result<Served, tonic::transport::Error> {
    let mut server = Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .http2_max_header_list_size(16 << 10)
        .http2_keepalive_interval(Some(Duration::from_secs(2)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)));
    if let Some(tls) = settings.tls {
        server = server.tls_config(tls)?;
    }
    let server = server.layer(AdmissionLayer::new(settings.guard, wall_clock));
    Ok(Box::pin(server.serve_with_incoming_shutdown(services, incoming, ending)))
}

/// Connections of one kind as those of any kind.
pub(super) fn any_kind<I, IO, E>(incoming: I) -> Incoming
where
    I: Stream<Item = Result<IO, E>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let connection = |io: IO| Connection(Box::new(io));
    Box::pin(incoming.map(move |it| it.map(connection).map_err(io::Error::other)))
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        match request.uri().path().trim_start_matches('/').split_once('/') {
            Some((HealthServer::<HealthService>::NAME, _)) => self.health.call(request),
            _ => Arc::clone(&self.calls).call(request),
        }
    }
}

/// The name under which the health of the calls is told.
pub(super) struct Name;

impl NamedService for Name {
    const NAME: &'static str = stream::SERVICE;
}

/// A connection of any kind.
pub(super) struct Connection(Box<dyn ReadWrite>);

trait ReadWrite: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ReadWrite for T {}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
