//! The body of a call as messages.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body as _;
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};

use super::LIMIT;
use super::payload::HEADER;

/// Messages of one kind, as they come.
pub(crate) struct Receiving<M> {
    body: Body,
    received: Received,
    /// The length of the incoming message.
    length: Option<usize>,
    message: PhantomData<fn() -> M>,
}

impl<M: Message + Default> Receiving<M> {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, received: Received::default(), length: None, message: PhantomData }
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// The other side's status, a broken connection, bytes that are no message.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn message(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.decode()? {
                return Ok(Some(message));
            }
            match poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await {
                Some(frame) => match frame?.into_data() {
                    Ok(data) => self.received.push(data),
                    Err(frame) => {
                        let status = frame.trailers_ref().and_then(Status::from_header_map);
                        return match status {
                            Some(status) if status.code() != Code::Ok => Err(status),
                            _ => Ok(None),
                        };
                    }
                },
                None if self.length.is_some() || self.received.has_remaining() => {
                    return Err(Status::internal("the stream ended within a message"));
                }
                None => return Ok(None),
            }
        }
    }

    /// A complete message.
    fn decode(&mut self) -> Result<Option<M>, Status> {
        let length = match self.length {
            Some(length) => length,
            None if self.received.remaining() < HEADER => return Ok(None),
            None => {
                self.received.gather();
                let compressed = self.received.get_u8();
                if compressed != 0 {
                    let words = format!("expected no compression, got flag {compressed}");
                    return Err(Status::unimplemented(words));
                }
                self.received.get_u32() as usize
            }
        };
        if length > LIMIT {
            let words = format!("expected a message of at most {LIMIT} bytes, got {length}");
            return Err(Status::out_of_range(words));
        }
        self.length = Some(length);
        if self.received.remaining() < length {
            return Ok(None);
        }
        self.length = None;
        self.received.gather();
        M::decode((&mut self.received).take(length))
            .map(Some)
            .map_err(|error| Status::internal(format!("expected a message, got: {error}")))
    }
}

/// Bytes in the buffers that they were read into.
#[derive(Default)]
struct Received {
    /// None of them empty.
    buffers: VecDeque<Bytes>,
    /// Small ones that followed, together.
    small: BytesMut,
    /// The bytes of both.
    remaining: usize,
}

/// Fewer bytes are gathered, so that a message in tiny pieces takes no more memory than its size.
const SMALL: usize = 1 << 10;

impl Received {
    fn push(&mut self, bytes: Bytes) {
        let first = self.remaining == 0;
        self.remaining += bytes.len();
        if bytes.len() < SMALL && !first {
            self.small.put(bytes);
            return;
        }
        self.gather();
        if !bytes.is_empty() {
            self.buffers.push_back(bytes);
        }
    }

    /// From here on everything can be read.
    fn gather(&mut self) {
        if !self.small.is_empty() {
            self.buffers.push_back(self.small.split().freeze());
        }
    }
}

impl Buf for Received {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.buffers.front().map_or(&[], |bytes| bytes)
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let Some(first) = self.buffers.front_mut() else { return };
            let step = count.min(first.len());
            first.advance(step);
            if first.is_empty() {
                self.buffers.pop_front();
            }
            self.remaining -= step;
            count -= step;
        }
    }

    /// Without a copy where they lie in one buffer.
    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        if let Some(first) = self.buffers.front()
            && first.len() >= count
        {
            let bytes = first.slice(..count);
            self.advance(count);
            return bytes;
        }
        let mut bytes = BytesMut::with_capacity(count);
        bytes.put(self.take(count));
        bytes.freeze()
    }
}
