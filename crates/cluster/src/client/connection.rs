//! One connection to one parameter server: opens it, passes its messages on, reports its end.
//!
//! Events that matter while a gradient is computed (a new step, an end, a share lost to another)
//! are signalled at once; all else waits in the inbox until the replica looks.

use std::error::Error;

use sync_replicas::Scalar;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tonic::Code;

use super::Connector;
use super::protocol::{ConnectError, ConnectionId, Reply};
use super::shared_variables::SharedVariables;
use super::signals::Signals;
use super::wire;
use crate::batches::{BatchSender, batch, batches};
use crate::call_status::describe;
use crate::coordinator::Ticket;
use crate::proto::to_replica::Message;
use crate::proto::to_server::Message as ToServerMessage;
use crate::proto::{Hello, Rows, ToReplica, ToServer, Values};
use crate::stream::Receiving;

/// What a connection reports.
#[derive(Debug)]
pub(crate) enum Event {
    Connected,
    /// The connection could not be made.
    Failed(ConnectError),
    /// A message, and the life that it concerns, if any.
    Message(Option<Ticket>, Reply),
    /// Some of a server's values.
    Values(Values),
    /// Some of the requested rows.
    Rows(Rows),
    /// All of a server's values are in their place.
    Written,
    /// The connection is gone, in these words.
    Lost(String),
}

/// An event and the connection that it came over.
pub(crate) type ConnectionEvent = (ConnectionId, Event);

/// Where events of a connection go.
pub(crate) struct Sinks<T: Scalar> {
    pub(super) inbox: UnboundedSender<ConnectionEvent>,
    pub(crate) variables: SharedVariables<T>,
    pub(super) signals: Signals,
}

impl<T: Scalar> Sinks<T> {
    /// New inboxes, and the receiver of their events.
    pub(crate) fn new() -> (Self, UnboundedReceiver<ConnectionEvent>) {
        let (inbox, incoming) = unbounded_channel();
        let (variables, signals) = (SharedVariables::new(), Signals::new());
        (Self { inbox, variables, signals }, incoming)
    }
}

impl<T: Scalar> Clone for Sinks<T> {
    fn clone(&self) -> Self {
        let (inbox, variables) = (self.inbox.clone(), self.variables.clone());
        Self { inbox, variables, signals: self.signals.clone() }
    }
}

/// A connection, or the attempt to have one; dropping it closes it.
pub(super) struct ServerConnection {
    sender: BatchSender<ToServer>,
    task: JoinHandle<()>,
}

impl ConnectError {
    fn of(status: &tonic::Status) -> Self {
        let reason = describe(status);
        match status.code() {
            Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented => Self::Permanent(reason),
            // What the transport failed with has a cause beneath it; what a server says has none.
            Code::Aborted if status.source().is_none() => Self::Replaced(reason),
            Code::Unavailable if status.source().is_none() => Self::Later(reason),
            _ => Self::Retry(reason),
        }
    }
}

impl ServerConnection {
    /// Connects and says hello; the outcome and the welcome arrive in the inbox.
    pub(super) fn open<T: Scalar>(
        connector: Connector,
        id: ConnectionId,
        hello: Hello,
        sinks: Sinks<T>,
    ) -> Self {
        let (sender, outgoing) = batches();
        // Before the call, so that the hello goes out with the headers.
        let first = ToServer { message: Some(ToServerMessage::Hello(hello)) };
        drop(sender.send(batch(vec![first])));
        let task = tokio::spawn(async move {
            let attempt = connector.open(id.server, "Train", outgoing);
            let event = match tokio::time::timeout(connector.call_timeout(), attempt).await {
                Ok(Ok(incoming)) => {
                    drop(sinks.inbox.send((id, Event::Connected)));
                    return read(incoming, id, sinks).await;
                }
                Ok(Err(status)) => Event::Failed(ConnectError::of(&status)),
                Err(_) => Event::Failed(ConnectError::Retry("no answer in time".to_owned())),
            };
            drop(sinks.inbox.send((id, event)));
        });
        Self { sender, task }
    }

    /// Queues messages; a lost connection reports itself in the inbox.
    pub(super) fn send<I>(&self, messages: I)
    where
        I: IntoIterator<Item = ToServerMessage>,
        I::IntoIter: Send + 'static,
    {
        let messages = messages.into_iter().map(|message| ToServer { message: Some(message) });
        drop(self.sender.send(Box::new(messages)));
    }

    pub(super) fn sender(&self) -> BatchSender<ToServer> {
        self.sender.clone()
    }

    /// Says that nothing more comes, and waits until the server has also closed its side.
    pub(super) async fn close(mut self) {
        (self.sender, _) = batches();
        // Fails only where the task panicked, and the connection is gone.
        let _ = (&mut self.task).await;
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes on what comes over a connection, to its end.
pub(crate) async fn read<T: Scalar>(
    mut incoming: Receiving<ToReplica>,
    id: ConnectionId,
    sinks: Sinks<T>,
) {
    // The values that went into the inbox.
    let mut queued = 0;
    let lost = loop {
        let event = match incoming.message().await {
            Ok(Some(ToReplica { message: Some(Message::Values(values)), .. })) => {
                match sinks.variables.write(id, queued, &values) {
                    Ok(true) if values.last => Event::Written,
                    Ok(true) => continue,
                    Ok(false) => {
                        queued += 1;
                        Event::Values(values)
                    }
                    Err(error) => break error.to_string(),
                }
            }
            Ok(Some(ToReplica { message: Some(Message::Rows(rows)), .. })) => Event::Rows(rows),
            Ok(Some(ToReplica { message, ticket })) => match wire::reply(message) {
                Ok(Some(reply)) => {
                    let ticket = ticket.map(Ticket::from);
                    sinks.signals.note(ticket, &reply);
                    Event::Message(ticket, reply)
                }
                // Values, which are handled above.
                Ok(None) => continue,
                Err(error) => break error.to_string(),
            },
            Ok(None) => break "the server closed the connection".to_owned(),
            Err(status) => break describe(&status),
        };
        if sinks.inbox.send((id, event)).is_err() {
            return;
        }
    };
    drop(sinks.inbox.send((id, Event::Lost(lost))));
}
