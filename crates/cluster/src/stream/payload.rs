//! A message in two pieces: a head, and the bytes of its one large field as they are.
//!
//! It is the message's ordinary encoding: a field set twice is merged from both, so the head has
//! the message without that field, and then once more with that field alone.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tonic::Status;

use super::LIMIT;
use crate::proto::{Done, Order, ToReplica, ToServer};
use crate::proto::{done, order, to_replica, to_server};

/// A message with a field that may be large.
pub(crate) trait Bulk: Message + Default + 'static {
    /// That field: the numbers of its parent and of itself, both below 16.
    fn payload(&mut self) -> Option<(u8, u8, &mut Bytes)>;
}

impl Bulk for ToServer {
    fn payload(&mut self) -> Option<(u8, u8, &mut Bytes)> {
        match &mut self.message {
            Some(to_server::Message::Chunk(chunk)) => Some((4, 2, &mut chunk.data)),
            Some(to_server::Message::InitialValues(it)) => Some((11, 2, &mut it.data)),
            _ => None,
        }
    }
}

impl Bulk for ToReplica {
    fn payload(&mut self) -> Option<(u8, u8, &mut Bytes)> {
        match &mut self.message {
            Some(to_replica::Message::Values(values)) => Some((11, 5, &mut values.data)),
            Some(to_replica::Message::Rows(rows)) => Some((15, 4, &mut rows.data)),
            _ => None,
        }
    }
}

impl Bulk for Order {
    fn payload(&mut self) -> Option<(u8, u8, &mut Bytes)> {
        match &mut self.order {
            Some(order::Order::Restore(tensor)) => Some((6, 2, &mut tensor.data)),
            _ => None,
        }
    }
}

impl Bulk for Done {
    fn payload(&mut self) -> Option<(u8, u8, &mut Bytes)> {
        match &mut self.done {
            Some(done::Done::Saved(tensor)) => Some((3, 2, &mut tensor.data)),
            _ => None,
        }
    }
}

/// Fewer bytes are copied into the head, which costs less than their own frame.
const APART: usize = 8 << 10;

/// Appends a message's head to the buffer; the payload, which may be empty, follows it.
///
/// # Errors
/// A message above the limit.
pub(super) fn encode<M: Bulk>(mut message: M, head: &mut BytesMut) -> Result<Bytes, Status> {
    let apart = message.payload().filter(|(.., data)| data.len() >= APART);
    let apart = apart.map(|(outer, inner, data)| (outer, inner, std::mem::take(data)));
    let (own, mut again) = (message.encoded_len(), BytesMut::new());
    let payload = match apart {
        None => Bytes::new(),
        Some((outer, inner, data)) => {
            let length = 1 + prost::length_delimiter_len(data.len()) + data.len();
            field(outer, length, &mut again)?;
            field(inner, data.len(), &mut again)?;
            data
        }
    };
    let length = own + again.len() + payload.len();
    if length > LIMIT {
        let words = format!("expected a message of at most {LIMIT} bytes, got {length}");
        return Err(Status::out_of_range(words));
    }
    head.reserve(HEADER + length - payload.len());
    // Not compressed.
    head.put_u8(0);
    head.put_u32(length as u32);
    message.encode(head).map_err(|error| Status::internal(error.to_string()))?;
    head.put(again);
    Ok(payload)
}

/// The bytes before a message.
pub(super) const HEADER: usize = 5;

/// The beginning of a field of so many bytes.
fn field(number: u8, length: usize, bytes: &mut BytesMut) -> Result<(), Status> {
    /// Bytes after their length.
    const DELIMITED: u8 = 2;
    bytes.put_u8(number << 3 | DELIMITED);
    prost::encode_length_delimiter(length, bytes)
        .map_err(|error| Status::internal(error.to_string()))
}
