//! The guard in front of a server, and the signer in front of a client.
//!
//! Carries values between calls and the guard; decides nothing. Invariant: a refused call is
//! answered from its head alone, nothing of its body is read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{GrpcMethod, Request, Status};
use tower::{Layer, Service};

use super::{Guard, SharedKey, WallClock, header};

/// Puts a guard in front of all services of a server: `Server::builder().layer(layer)`.
#[derive(Clone, Debug)]
pub struct AdmissionLayer {
    guard: Option<Arc<Guard>>,
    clock: WallClock,
}

/// A service behind a guard.
#[derive(Clone, Debug)]
pub struct Admission<S> {
    inner: S,
    layer: AdmissionLayer,
}

/// Signs every call of a client: `ClusterClient::with_interceptor(channel, signer)`.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Option<SharedKey>,
    clock: WallClock,
}

/// One allocation for each call is negligible: a stream lasts as long as training.
type Answer<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

const AUTHORIZATION: &str = "authorization";

impl AdmissionLayer {
    /// Without a guard every call passes.
    #[must_use]
    pub fn new(guard: Option<Arc<Guard>>, clock: WallClock) -> Self {
        Self { guard, clock }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission { inner, layer: self.clone() }
    }
}

impl<S, B> Service<http::Request<B>> for Admission<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<S::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if let Some(guard) = &self.layer.guard {
            let value = request.headers().get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
            if let Err(refusal) = guard.admit(request.uri().path(), value, (self.layer.clock)()) {
                let status = Status::unauthenticated(refusal.to_string());
                return Box::pin(async { Ok(status.into_http()) });
            }
        }
        Box::pin(self.inner.call(request))
    }
}

impl Signer {
    /// Without a key calls go out as they are.
    #[must_use]
    pub fn new(key: Option<SharedKey>, clock: WallClock) -> Self {
        Self { key, clock }
    }

    /// The `authorization` value for one call of `path` (`/package.Service/Method`), if there is a
    /// key.
    ///
    /// # Errors
    ///
    /// A status when the system has no random bytes.
    pub fn authorization(&self, path: &str) -> Result<Option<String>, Status> {
        let Some(key) = &self.key else { return Ok(None) };
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| {
            Status::internal(format!("expected random bytes from the system, got: {error}"))
        })?;
        Ok(Some(header::make(key, path, (self.clock)(), nonce)))
    }
}

impl Interceptor for Signer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let method = request.extensions().get::<GrpcMethod<'_>>();
        let path = method.map(|method| format!("/{}/{}", method.service(), method.method()));
        if let Some(value) = self.authorization(path.as_deref().unwrap_or_default())? {
            let value = MetadataValue::try_from(value)
                .map_err(|_| Status::internal("expected an authorization in ASCII, got another"))?;
            request.metadata_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}
