//! One connection to one parameter server: opened, its messages passed on, its end told.
//!
//! What must be known while a gradient is computed (a new step, an end, a share lost to another)
//! is signalled at once; everything else waits in the inbox until the replica looks.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tonic::Code;

use super::Reach;
use super::signals::Signals;
use crate::batches::{BatchSender, batch, batches};
use crate::proto::to_replica::Message;
use crate::proto::to_server::Message as ToServerMessage;
use crate::proto::{Hello, ToReplica, ToServer};
use crate::stream::Receiving;

/// What comes over a line.
#[derive(Debug)]
pub(super) enum Event {
    /// A message.
    Message(Message),
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
    pub(super) async fn open(
        reach: &Reach,
        (server, opened): (usize, u64),
        hello: Hello,
        inbox: UnboundedSender<Incoming>,
        signals: Signals,
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
        let reader = tokio::spawn(read(incoming, (server, opened), inbox, signals));
        Ok(Self { sender, opened, reader })
    }

    /// Queues messages; a line that is gone says so over the inbox.
    pub(super) fn send(&self, messages: Vec<ToServerMessage>) {
        let messages = messages.into_iter().map(|message| ToServer { message: Some(message) });
        drop(self.sender.send(Box::new(messages)));
    }

    pub(super) fn sender(&self) -> BatchSender<ToServer> {
        self.sender.clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(
    mut incoming: Receiving<ToReplica>,
    (server, opened): (usize, u64),
    inbox: UnboundedSender<Incoming>,
    signals: Signals,
) {
    let lost = loop {
        match incoming.message().await {
            Ok(Some(ToReplica { message: Some(message) })) => {
                signals.note(&message);
                if inbox.send(Incoming { server, opened, event: Event::Message(message) }).is_err()
                {
                    return;
                }
            }
            // A message of a kind that this version does not know.
            Ok(Some(ToReplica { message: None })) => {}
            Ok(None) => break "the server closed the connection".to_owned(),
            Err(status) => break describe(&status),
        }
    };
    drop(inbox.send(Incoming { server, opened, event: Event::Lost(lost) }));
}

/// A status in words, with what is beneath it.
pub(crate) fn describe(status: &tonic::Status) -> String {
    use std::error::Error;
    let mut text = status.message().to_owned();
    if text.is_empty() {
        text = status.code().to_string();
    }
    let mut source = status.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// How long a failed attempt waits before the next: doubled each time, up to two seconds.
pub(super) fn pause(attempt: u32) -> Duration {
    Duration::from_millis(50 << attempt.min(5)).min(Duration::from_secs(2))
}
