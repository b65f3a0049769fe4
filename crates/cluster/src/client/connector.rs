//! How servers are reached: addresses, the way to connect, the key.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use tonic::Status;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::batches::Batches;
use crate::call_status::describe;
use crate::security::{Signer, TlsError, TlsSettings};
use crate::socket;
use crate::stream::{self, Bulk, Receiving};

/// A connection in the making.
pub type DialFuture = Pin<Box<dyn Future<Output = Result<Channel, DialError>> + Send>>;

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The address is none.
    #[error("invalid address {address}: {reason}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: tonic::transport::Error,
    },
    /// Certificates cannot be used.
    #[error("{0}")]
    Tls(TlsError),
    /// Nobody answers there, or not in this protocol.
    #[error("{}", sync_replicas::driver::describe(.0))]
    Transport(tonic::transport::Error),
    /// There are no connections of this kind.
    #[error("{0}")]
    NoConnections(&'static str),
}

/// Makes a connection to an address; a simulation hands in its own.
pub type Dial = Arc<dyn Fn(String) -> DialFuture + Send + Sync>;

/// Where a server is now, as `HOST:PORT`.
pub type ResolveFuture = Pin<Box<dyn Future<Output = io::Result<String>> + Send>>;

/// Says where the server of an address is; asked anew at every connection.
pub type Resolve = Arc<dyn Fn(String) -> ResolveFuture + Send + Sync>;

/// What is needed to call any of the servers.
#[derive(Clone)]
pub struct Connector {
    addresses: Arc<[String]>,
    dial: Dial,
    signer: Signer,
    call_timeout: Duration,
    /// Whether addresses are those of sockets.
    sockets: bool,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// A connection carries one large stream: a message is one frame, and a few are under way. More
/// would lie about in memory; fewer would make the sender wait for news of the receiver.
pub(crate) const WINDOW: u32 = 2 << 20;
pub(crate) const FRAME: u32 = 1 << 20;

impl Connector {
    /// The servers by number, reached over TCP; with TLS when it is given, whose files are read for
    /// each call.
    #[must_use]
    pub fn tcp(addresses: Vec<String>, signer: Signer, tls: Option<TlsSettings>) -> Self {
        Self::tcp_resolved(addresses, signer, tls, None)
    }

    /// The same with names as addresses, which `resolve` translates.
    pub(crate) fn tcp_resolved(
        addresses: Vec<String>,
        signer: Signer,
        tls: Option<TlsSettings>,
        resolve: Option<Resolve>,
    ) -> Self {
        // What listens at a name is not known.
        let sockets = resolve.is_none();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let dial = move |address: String| -> DialFuture {
            let (tls, resolve) = (tls.clone(), resolve.clone());
            Box::pin(async move {
                let endpoint = endpoint(&format!("{scheme}://{address}"))?;
                let endpoint = match tls {
                    Some(tls) => endpoint
                        .tls_config(tls.client().map_err(DialError::Tls)?)
                        .map_err(DialError::Transport)?,
                    None => endpoint,
                };
                // A name is looked up anew at every attempt: a restarted server may have moved.
                let connector = tower::service_fn(move |_| {
                    let (address, resolve) = (address.clone(), resolve.clone());
                    async move {
                        let address = match resolve {
                            Some(resolve) => resolve(address).await?,
                            None => address,
                        };
                        socket::connect(&address).await.map(TokioIo::new)
                    }
                });
                let channel = endpoint.connect_with_connector(connector).await;
                channel.map_err(DialError::Transport)
            })
        };
        Self { sockets, ..Self::new(addresses, Arc::new(dial), signer) }
    }

    /// The same over connections of another kind.
    #[must_use]
    pub fn new(addresses: Vec<String>, dial: Dial, signer: Signer) -> Self {
        let call_timeout = Duration::from_secs(5);
        Self { addresses: addresses.into(), dial, signer, call_timeout, sockets: false }
    }

    /// The address of a server.
    #[must_use]
    pub fn address(&self, server: usize) -> &str {
        self.addresses.get(server).map_or("(none)", String::as_str)
    }

    /// How many servers there are.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.addresses.len()
    }

    /// What to do about a server that could not be called, in words to append: if something listens
    /// at its address, the two may differ in TLS.
    pub(crate) async fn advice(&self, server: usize) -> &'static str {
        let connected = tokio::net::TcpStream::connect(self.address(server));
        let connected = tokio::time::timeout(Duration::from_secs(1), connected);
        match self.sockets && connected.await.is_ok_and(|it| it.is_ok()) {
            true => {
                "; something listens there, so compare --tls-cert, --tls-key and --tls-ca, which \
                 both sides have or neither"
            }
            false => "",
        }
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// Makes a call with one message and one answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn call<Q, A>(
        &self,
        server: usize,
        method: &str,
        message: Q,
    ) -> Result<A, CallError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let call = async {
            let channel = (self.dial)(self.address(server).to_owned()).await;
            let mut grpc = Grpc::new(channel?)
                .max_decoding_message_size(stream::LIMIT)
                .max_encoding_message_size(stream::LIMIT);
            let unready = |error| CallError::Unheard(sync_replicas::driver::describe(&error));
            grpc.ready().await.map_err(unready)?;
            let path = path(method);
            let value = self.signer.authorization(&path)?;
            let mut request = tonic::Request::new(message);
            *request.metadata_mut() = metadata(value.as_deref())?;
            let uri = PathAndQuery::try_from(path.as_str())
                .map_err(|error| CallError::Said(error.to_string()))?;
            let answer = grpc.unary(request, uri, ProstCodec::<Q, A>::default()).await?;
            let (head, answer, _) = answer.into_parts();
            self.signer.check(&path, value.as_deref(), &head.into_headers())?;
            Ok(answer)
        };
        let late = |_| Err(CallError::Said("no answer in time".to_owned()));
        tokio::time::timeout(self.call_timeout, call).await.unwrap_or_else(late)
    }

    /// Opens a stream to server number `server`.
    pub(crate) async fn open<Q: Bulk, A: prost::Message + Default>(
        &self,
        server: usize,
        method: &str,
        outgoing: Batches<Q>,
    ) -> Result<Receiving<A>, Status> {
        let channel = (self.dial)(self.address(server).to_owned()).await;
        let channel = channel.map_err(|error| Status::from_error(error.into()))?;
        let path = path(method);
        let value = self.signer.authorization(&path)?;
        let check = |answer: &HeaderMap| self.signer.check(&path, value.as_deref(), answer);
        stream::open(channel, &path, outgoing, metadata(value.as_deref())?, check).await
    }
}

/// Why a call failed, in words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The server may not have heard the call.
    #[error("{0}")]
    Unheard(String),
    /// The call was answered, or not in time.
    #[error("{0}")]
    Said(String),
}

impl From<DialError> for CallError {
    fn from(error: DialError) -> Self {
        Self::Unheard(error.to_string())
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let words = describe(&status);
        // What the transport failed with has a cause beneath it; what a server says has none.
        if status.source().is_some() { Self::Unheard(words) } else { Self::Said(words) }
    }
}

/// The proof of the key, if there is one.
fn metadata(value: Option<&str>) -> Result<MetadataMap, Status> {
    let mut metadata = MetadataMap::new();
    if let Some(value) = value {
        let value = value.parse().map_err(|_| Status::internal("a bad header"))?;
        metadata.insert("authorization", value);
    }
    Ok(metadata)
}

fn path(method: &str) -> String {
    format!("/{}/{method}", stream::SERVICE)
}

/// An endpoint with this protocol's settings.
///
/// # Errors
/// When the address is invalid.
pub(crate) fn endpoint(uri: &str) -> Result<Endpoint, DialError> {
    let endpoint = Endpoint::from_shared(uri.to_owned())
        .map_err(|reason| DialError::Address { address: uri.to_owned(), reason })?;
    Ok(endpoint
        .connect_timeout(Duration::from_secs(3))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_timeout(Duration::from_secs(3)))
}
