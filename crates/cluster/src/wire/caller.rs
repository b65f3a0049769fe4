//! The process at the other end of a connection: who it says it is, and why it is not let in.

use tonic::Status;

use crate::coordinator::Ticket;
use crate::place::{Caller, NotAdmitted};
use crate::proto;

/// The sender of a hello.
pub(crate) fn caller(hello: &proto::Hello) -> Caller {
    let proto::Hello { process, connection, .. } = *hello;
    Caller { process, connection, ticket: hello.ticket.map(Ticket::from) }
}

/// Why a process that has said hello is not let in.
pub(crate) fn not_admitted(reason: &NotAdmitted) -> Status {
    let words = reason.to_string();
    match reason {
        NotAdmitted::Old(_) => Status::already_exists(words),
        NotAdmitted::Replaced(_) => Status::aborted(words),
        NotAdmitted::Held(_) | NotAdmitted::Ticket { .. } => Status::unavailable(words),
    }
}
