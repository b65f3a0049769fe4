//! One connection to one parameter server: opened, its messages passed on, its end told.
//!
//! What must be known while a gradient is computed (a new step, an end, a share lost to another)
//! is signalled at once; everything else waits in the inbox until the replica looks.

use std::time::Duration;

use sync_replicas::Scalar;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tonic::Code;

use super::Reach;
use super::landing::Landing;
use super::signals::Signals;
use crate::batches::{BatchSender, batch, batches};
use crate::coordinator::Ticket;
use crate::proto::to_replica::Message;
use crate::proto::to_server::Message as ToServerMessage;
use crate::proto::{Hello, ToReplica, ToServer};
use crate::stream::Receiving;

/// What comes over a line.
#[derive(Debug)]
pub(super) enum Event {
    /// A message, and the life that it is about if it is about one.
    Message(Option<Ticket>, Message),
    /// All of a server's values are in their place.
    Landed,
    /// The connection is gone, in these words.
    Lost(String),
}

/// An event and the line that it came over.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) server: usize,
    /// Which of the lines to that server.
    pub(super) opened: u64,
    pub(super) event: Event,
}

/// The ways that what comes over a line may take.
pub(super) struct Ways<T: Scalar> {
    pub(super) inbox: UnboundedSender<Incoming>,
    pub(super) landing: Landing<T>,
    pub(super) signals: Signals,
}

/// An open connection; dropping it closes it.
pub(super) struct Line {
    sender: BatchSender<ToServer>,
    pub(super) opened: u64,
    reader: JoinHandle<()>,
}

/// Why there is no line.
#[derive(Debug)]
pub(super) enum NoLine {
    /// Another attempt may succeed.
    Later(String),
    /// It would say the same again.
    Never(String),
}

impl NoLine {
    fn of(status: &tonic::Status) -> Self {
        let reason = describe(status);
        match status.code() {
            Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented => Self::Never(reason),
            _ => Self::Later(reason),
        }
    }
}

impl Line {
    /// Connects to server number `server` and says hello; the welcome comes over the inbox.
    pub(super) async fn open<T: Scalar + bytemuck::Pod>(
        reach: &Reach,
        (server, opened): (usize, u64),
        hello: Hello,
        ways: Ways<T>,
    ) -> Result<Self, NoLine> {
        let attempt = async {
            let (sender, outgoing) = batches();
            // Before the call, so that the hello goes out with the headers.
            let first = ToServer { message: Some(ToServerMessage::Hello(hello)) };
            drop(sender.send(batch(vec![first])));
            let incoming = reach.open(server, "Train", outgoing).await;
            Ok((sender, incoming.map_err(|status| NoLine::of(&status))?))
        };
        let (sender, incoming) = tokio::time::timeout(reach.call_timeout(), attempt)
            .await
            .map_err(|_| NoLine::Later("no answer in time".to_owned()))??;
        let reader = tokio::spawn(read(incoming, (server, opened), ways));
        Ok(Self { sender, opened, reader })
    }

    /// A line at whose other end nobody is.
    #[cfg(feature = "test-util")]
    pub(super) fn offline(opened: u64) -> Self {
        let (sender, _) = batches();
        Self { sender, opened, reader: tokio::spawn(std::future::ready(())) }
    }

    /// Queues messages; a line that is gone says so over the inbox.
    pub(super) fn send(&self, messages: Vec<ToServerMessage>) {
        let messages = messages.into_iter().map(|message| ToServer { message: Some(message) });
        drop(self.sender.send(Box::new(messages)));
    }

    pub(super) fn sender(&self) -> BatchSender<ToServer> {
        self.sender.clone()
    }

    /// Says that nothing more comes, and waits until the server has closed its side too.
    pub(super) async fn close(mut self) {
        (self.sender, _) = batches();
        // Fails only where the reader panicked, and the line is gone.
        let _ = (&mut self.reader).await;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

pub(super) async fn read<T: Scalar + bytemuck::Pod>(
    mut incoming: Receiving<ToReplica>,
    line: (usize, u64),
    ways: Ways<T>,
) {
    let (server, opened) = line;
    // The values that went into the inbox.
    let mut queued = 0;
    let lost = loop {
        let event = match incoming.message().await {
            Ok(Some(ToReplica { message: Some(Message::Values(values)), .. })) => {
                match ways.landing.land(line, queued, &values) {
                    Ok(true) if values.last => Event::Landed,
                    Ok(true) => continue,
                    Ok(false) => {
                        queued += 1;
                        Event::Message(None, Message::Values(values))
                    }
                    Err(error) => break error.to_string(),
                }
            }
            Ok(Some(ToReplica { message: Some(message), ticket })) => {
                let ticket = ticket.map(Ticket::from);
                ways.signals.note(ticket, &message);
                Event::Message(ticket, message)
            }
            // A message of a kind that this version does not know.
            Ok(Some(ToReplica { message: None, .. })) => continue,
            Ok(None) => break "the server closed the connection".to_owned(),
            Err(status) => break describe(&status),
        };
        if ways.inbox.send(Incoming { server, opened, event }).is_err() {
            return;
        }
    };
    drop(ways.inbox.send(Incoming { server, opened, event: Event::Lost(lost) }));
}

/// A status in words, with what is beneath it.
pub(crate) fn describe(status: &tonic::Status) -> String {
    let text = match status.message() {
        "" => status.code().to_string(),
        said => said.to_owned(),
    };
    super::reach::with_causes(text, status)
}

/// How long a failed attempt waits before the next: doubled each time, up to two seconds.
pub(super) fn pause(attempt: u32) -> Duration {
    Duration::from_millis(50 << attempt.min(5)).min(Duration::from_secs(2))
}
