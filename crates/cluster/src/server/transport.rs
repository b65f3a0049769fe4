//! gRPC on connections of any kind, with nothing of the training in its types.
//!
//! A connection, the service and the end of serving are trait objects here, so that HTTP/2 is
//! compiled once for all number types and kinds of sockets; a call's cost does not show it.

mod connection;
pub(super) mod door;
pub(super) mod secured;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tower::Service;

use crate::client::{FRAME, WINDOW};
use crate::security::{AdmissionLayer, Guard, ServerTls};
use crate::stream;

/// How many calls are under way over one connection: a process makes one. More are refused, and
/// while those refusals are not read nothing more is; what a call leaves unread holds a piece of a
/// snapshot (P-27).
const MOST_CALLS: u32 = 4;

/// How a server listens.
#[derive(Clone, Default)]
pub struct TransportSettings {
    /// What asks callers for the key.
    pub guard: Option<Arc<Guard>>,
    /// TLS, mutual where it has a CA.
    pub tls: Option<ServerTls>,
}

impl std::fmt::Debug for TransportSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransportSettings")
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

/// The outcome of a call.
pub(super) type Answering =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Serving, until its end.
pub(super) type Served = Pin<Box<dyn Future<Output = Result<(), tonic::transport::Error>> + Send>>;

/// Answers the calls of [`stream::SERVICE`].
pub(super) trait Calls: Send + Sync {
    /// Answers one call.
    fn call(self: Arc<Self>, request: Request<Body>) -> Answering;
}

/// The services of a parameter server: health, and all others.
#[derive(Clone)]
pub(super) struct Services {
    pub(super) health: HealthServer<HealthService>,
    pub(super) calls: Arc<dyn Calls>,
}

/// Serves until `ending` has come and all connections are closed.
///
/// The future is boxed, since an unboxed one is compiled by each crate that awaits it.
pub(super) fn serve(
    services: Services,
    incoming: door::Incoming,
    admission: AdmissionLayer,
    ending: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> Served {
    let server = Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(MOST_CALLS)
        .http2_max_header_list_size(16 << 10)
        .http2_keepalive_interval(Some(Duration::from_secs(2)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)));
    let server = server.layer(admission);
    Box::pin(server.serve_with_incoming_shutdown(services, incoming, ending))
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        match request.uri().path().trim_start_matches('/').split_once('/') {
            Some((HealthServer::<HealthService>::NAME, _)) => self.health.call(request),
            _ => Arc::clone(&self.calls).call(request),
        }
    }
}

/// The name under which the health of the calls is reported.
pub(super) struct Name;

impl NamedService for Name {
    const NAME: &'static str = stream::SERVICE;
}
