//! Calls that stream messages both ways, as gRPC frames them, without copying large fields.
//!
//! Tensors are sent from their own memory, and received ones lie in the buffer that they were read
//! into, so the only copies beside the kernel's are made when they are put in place. Invariant: a
//! message is not collected before its length was found to be within the limit.

mod payload;
mod receiving;
mod sending;
#[cfg(test)]
mod tests;

use std::future::poll_fn;

use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use prost::Message;
use tonic::body::Body;
use tonic::metadata::{GRPC_CONTENT_TYPE, MetadataMap};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::Service;

pub(crate) use self::payload::Bulk;
pub(crate) use self::receiving::Receiving;
use self::sending::Sending;
use crate::batches::Batches;

/// The service's name in paths: `/SERVICE/METHOD`.
pub(crate) const SERVICE: &str = "sync_replicas.v2.Cluster";

/// The most bytes of a message.
pub(crate) const LIMIT: usize = 4 << 20;

/// Opens a stream to a server, if `check` finds nothing wrong with the head of its answer.
///
/// # Errors
/// The server's status, or the failure of the call.
pub(crate) async fn open<Q: Bulk, A: Message + Default>(
    mut channel: Channel,
    path: &str,
    outgoing: Batches<Q>,
    metadata: MetadataMap,
    check: impl FnOnce(&HeaderMap) -> Result<(), Status>,
) -> Result<Receiving<A>, Status> {
    let mut request = Request::new(Body::new(Sending::request(outgoing)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = path
        .parse()
        .map_err(|_| Status::internal(format!("expected a path of a method, got {path}")))?;
    *request.headers_mut() = metadata.into_headers();
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    let lost = |error: tonic::transport::Error| Status::from_error(Box::new(error));
    poll_fn(|context| channel.poll_ready(context)).await.map_err(lost)?;
    let (head, body) = channel.call(request).await.map_err(lost)?.into_parts();
    match Status::from_header_map(&head.headers) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ if head.status.is_success() => check(&head.headers).map(|()| Receiving::new(body)),
        _ => Err(Status::unknown(format!("expected a stream, got HTTP status {}", head.status))),
    }
}

/// Answers a call that opens a stream, with `serve`'s messages or its refusal.
pub(crate) async fn answer<Q: Message + Default, A: Bulk, F>(
    request: Request<Body>,
    serve: impl FnOnce(Receiving<Q>) -> F,
) -> Response<Body>
where
    F: Future<Output = Result<Batches<A>, Status>>,
{
    match serve(Receiving::new(request.into_body())).await {
        Ok(outgoing) => {
            let mut response = Response::new(Body::new(Sending::response(outgoing)));
            response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
            response
        }
        Err(status) => status.into_http(),
    }
}
