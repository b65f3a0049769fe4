//! What a connection's bytes are, seen by a passive reader.

use prost::{DecodeError, Message as _};

use super::Ear;
use crate::proto::control_request::Action;
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Orders;
use crate::proto::to_replica::Message as Said;
use crate::proto::to_server::Message;
use crate::proto::{ControlRequest, Done, Order, StatusReply, ToReplica, ToServer};
use crate::stream::LIMIT;

/// What a connection's bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Whether some of them are no message: none after them is heard.
    pub broken: bool,
    /// Whether a message before that may make a step, end training or put the state back.
    pub may_change: bool,
}

/// Reads all of a connection's bytes.
#[must_use]
pub fn read(ear: Ear, mut bytes: &[u8]) -> Read {
    let mut read = Read::default();
    while !bytes.is_empty() {
        let Some((message, rest)) = frame(bytes) else { return Read { broken: true, ..read } };
        match may_change(ear, message) {
            Ok(may_change) => read.may_change |= may_change,
            Err(_) => return Read { broken: true, ..read },
        }
        bytes = rest;
    }
    read
}

/// The first message, and what comes behind it.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[compressed, lengths @ ..], rest) = bytes.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes(lengths) as usize;
    (compressed == 0 && length <= LIMIT).then(|| rest.split_at_checked(length))?
}

fn may_change(ear: Ear, message: &[u8]) -> Result<bool, DecodeError> {
    Ok(match ear {
        Ear::Coordinator | Ear::Server => {
            matches!(ToServer::decode(message)?.message, Some(Message::Commit(_)))
        }
        Ear::Undefined => match ToServer::decode(message)?.message {
            Some(Message::InitialValues(it)) => it.last,
            _ => false,
        },
        Ear::Control => matches!(ControlRequest::decode(message)?.action, Some(Action::Stop(_))),
        Ear::Answers => {
            let done = Done::decode(message)?.done;
            matches!(done, Some(Answer::Applied(_) | Answer::Failed(_) | Answer::NotFinite(_)))
        }
        Ear::Orders => {
            matches!(Order::decode(message)?.order, Some(Orders::Apply(_) | Orders::Begin(_)))
        }
        Ear::FirstServer | Ear::SecondServer => {
            matches!(ToReplica::decode(message)?.message, Some(Said::Ended(_)))
        }
        Ear::Status => StatusReply::decode(message).map(|_| false)?,
    })
}
