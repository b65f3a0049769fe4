//! The guard in front of a server, and the signer in front of a client.
//!
//! Carries values between calls and the guard; decides nothing. Invariant: a refused call is
//! answered from its head alone; none of its body is read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{GrpcMethod, Request, Status};
use tower::{Layer, Service};

use super::{Denial, DenialLog, Guard, Peer, SharedKey, WallClock, header};

/// Puts a guard in front of all services of a server: `Server::builder().layer(layer)`.
#[derive(Clone, Debug)]
pub struct AdmissionLayer {
    guard: Option<Arc<Guard>>,
    clock: WallClock,
    denials: Arc<DenialLog>,
}

/// A service behind a guard.
#[derive(Clone, Debug)]
pub struct Admission<S> {
    inner: S,
    layer: AdmissionLayer,
}

/// Signs every call of a client, and checks answers for the key.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Option<SharedKey>,
    clock: WallClock,
}

/// One allocation for each call is negligible: a stream lasts as long as training.
type Answering<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

const AUTHORIZATION: &str = "authorization";

/// In an answer: the proof that the server knows the key.
const PROOF: &str = "sync-replicas-proof";

impl AdmissionLayer {
    /// Without a guard every call passes.
    #[must_use]
    pub fn new(guard: Option<Arc<Guard>>, clock: WallClock) -> Self {
        Self { guard, clock, denials: Arc::default() }
    }

    /// Denials not yet reported.
    pub(crate) fn denials(&self) -> Arc<DenialLog> {
        Arc::clone(&self.denials)
    }

    /// Judges a call from its head; returns the proof that its answer carries, if a key is
    /// required.
    fn admit<B>(&self, request: &http::Request<B>) -> Result<Option<HeaderValue>, Denial> {
        let peer = request.extensions().get::<Peer>();
        let (path, now) = (request.uri().path(), (self.clock)());
        let refuse = |denial| {
            self.denials.refused(denial, peer.and_then(Peer::address), now);
            peer.into_iter().for_each(Peer::refuse);
            denial
        };
        if peer.is_some_and(Peer::is_forbidden) {
            return Err(refuse(Denial::Name));
        }
        let mut proof = None;
        if let Some(guard) = &self.guard {
            let value = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
            guard.admit(path, value, now).map_err(refuse)?;
            proof = value.and_then(|value| guard.answer(path, value));
        }
        peer.into_iter().for_each(Peer::admit);
        // It is hexadecimal, which every header may be.
        Ok(proof.and_then(|proof| HeaderValue::try_from(proof).ok()))
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
    type Future = Answering<S::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let proof = match self.layer.admit(&request) {
            Ok(proof) => proof,
            Err(denial) => {
                return Box::pin(async move { Ok(denial.status().into_http()) });
            }
        };
        let answer = self.inner.call(request);
        Box::pin(async {
            let mut answer = answer.await?;
            if let Some(proof) = proof {
                answer.headers_mut().insert(PROOF, proof);
            }
            Ok(answer)
        })
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

    /// Whether the server that answered a call of `path` showing `value` also knows the key: before
    /// that only the first message is sent.
    ///
    /// # Errors
    ///
    /// A status when it does not.
    pub(crate) fn check(
        &self,
        path: &str,
        value: Option<&str>,
        answer: &HeaderMap,
    ) -> Result<(), Status> {
        let (Some(key), Some(value)) = (&self.key, value) else { return Ok(()) };
        let proof = answer.get(PROOF).map(HeaderValue::as_bytes).unwrap_or_default();
        if header::is_answer(key, value, path, proof) {
            return Ok(());
        }
        Err(Status::unauthenticated(
            "expected a server that knows the shared key, got an answer without its proof; look \
             who listens at its address, and compare --key-file",
        ))
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
