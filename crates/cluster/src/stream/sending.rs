//! Messages as the body of a call.
//!
//! Messages that wait together go out together, up to the next payload.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio_stream::Stream;
use tonic::Status;

use super::payload::{Bulk, encode};
use crate::batches::Batches;

/// Small messages are gathered up to so many bytes.
const GATHERED: usize = 32 << 10;

/// The body; it ends with its messages.
pub(super) struct Sending<M> {
    messages: Batches<M>,
    /// Of the message whose head went out.
    payload: Bytes,
    /// A response ends with a status.
    trailers: Option<HeaderMap>,
}

impl<M: Bulk> Sending<M> {
    pub(super) fn request(messages: Batches<M>) -> Self {
        Self { messages, payload: Bytes::new(), trailers: None }
    }

    pub(super) fn response(messages: Batches<M>) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from_static("0"));
        Self { messages, payload: Bytes::new(), trailers: Some(trailers) }
    }
}

impl<M: Bulk> Body for Sending<M> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let data = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        if !self.payload.is_empty() {
            return data(std::mem::take(&mut self.payload));
        }
        let mut head = BytesMut::new();
        while head.len() < GATHERED && self.payload.is_empty() {
            match Pin::new(&mut self.messages).poll_next(context) {
                Poll::Ready(Some(message)) => self.payload = encode(message, &mut head)?,
                Poll::Pending if head.is_empty() => return Poll::Pending,
                Poll::Ready(None) if head.is_empty() => {
                    let trailers = self.trailers.take();
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
                Poll::Pending | Poll::Ready(None) => break,
            }
        }
        data(head.freeze())
    }
}
