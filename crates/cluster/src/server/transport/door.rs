//! The door: takes connections in, few at a time from unknown peers (P-27).
//!
//! Invariant: at most [`MOST_STRANGERS`] connections are open whose peer was not admitted. One
//! more closes the oldest of them, so that silent strangers, however many, keep no replica out: a
//! replica is admitted with its first bytes.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};

use super::connection::Connection;
use crate::security::{DenialLog, Peer, wall_clock};

/// How many connections there may be whose peer was not admitted.
pub(super) const MOST_STRANGERS: usize = 64;

/// The pause after a connection could not be taken in, most likely for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The time between two lines in the log about the same.
const MINUTE: Duration = Duration::from_secs(60);

/// Descriptors for files, sockets to other servers and what the program has open.
const OWN_DESCRIPTORS: usize = 64;

/// Connections as they are served.
pub(in crate::server) type Incoming = Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>>;

/// How many connections a server of so many replicas and servers may have: theirs, some that are
/// about to be closed, and strangers. At most as many as there are descriptors for, so that
/// checkpoints can always be written.
pub(in crate::server) fn most_connections(replicas: usize, servers: usize) -> usize {
    let wanted = 4 * (replicas + servers) + 32 + MOST_STRANGERS;
    wanted.min(descriptors().saturating_sub(OWN_DESCRIPTORS)).max(MOST_STRANGERS)
}

#[cfg(unix)]
fn descriptors() -> usize {
    let soft = rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX);
    usize::try_from(soft).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn descriptors() -> usize {
    usize::MAX
}

/// Takes in at most `most` connections at a time, until what it gives is dropped.
pub(in crate::server) fn open<I, IO, E>(
    incoming: I,
    most: usize,
    denials: Arc<DenialLog>,
) -> Incoming
where
    I: Stream<Item = Result<(IO, Option<SocketAddr>), E>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    let (sender, connections) = mpsc::channel(1);
    tokio::spawn(keep(incoming, sender, most, denials));
    Box::pin(ReceiverStream::new(connections))
}

async fn keep<I, IO, E>(
    incoming: I,
    sender: mpsc::Sender<io::Result<Connection>>,
    most: usize,
    denials: Arc<DenialLog>,
) where
    I: Stream<Item = Result<(IO, Option<SocketAddr>), E>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    let mut incoming = pin!(incoming);
    let mut door = Door { strangers: VecDeque::new(), open: Arc::new(()), most, told: None };
    let mut minute = interval(MINUTE);
    loop {
        let accepted = tokio::select! {
            () = sender.closed() => return,
            _ = minute.tick() => {
                denials.flush(wall_clock());
                continue;
            }
            accepted = incoming.next() => accepted,
        };
        match accepted {
            None => return,
            Some(Ok((io, address))) => {
                let Some((peer, open)) = door.admit(address) else { continue };
                let connection = Connection::new(io, peer, open);
                if sender.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
            Some(Err(error)) => {
                door.failed(&*error.into());
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

struct Door {
    /// The oldest first.
    strangers: VecDeque<Peer>,
    /// Held by each connection.
    open: Arc<()>,
    most: usize,
    /// When the log last reported connections that were not taken in.
    told: Option<Instant>,
}

impl Door {
    /// Makes room for one more connection; `None` if there is none, and the connection must close.
    fn admit(&mut self, address: Option<SocketAddr>) -> Option<(Peer, Arc<()>)> {
        self.strangers.retain(Peer::is_unproven);
        let is_full = Arc::strong_count(&self.open) > self.most;
        if is_full || self.strangers.len() >= MOST_STRANGERS {
            match self.strangers.pop_front() {
                Some(oldest) => oldest.turn_away(),
                None => {
                    let reason = format!("{} connections are open", self.most);
                    self.tell(&reason);
                    return None;
                }
            }
        }
        let peer = Peer::new(address);
        self.strangers.push_back(peer.clone());
        Some((peer, Arc::clone(&self.open)))
    }

    /// A connection could not be taken in: the oldest stranger's descriptor may do for the next.
    fn failed(&mut self, error: &dyn Error) {
        self.strangers.retain(Peer::is_unproven);
        if let Some(oldest) = self.strangers.pop_front() {
            oldest.turn_away();
        }
        self.tell(&error.to_string());
    }

    fn tell(&mut self, reason: &str) {
        if self.told.is_none_or(|told| told.elapsed() >= MINUTE) {
            self.told = Some(Instant::now());
            tracing::warn!(reason, "a connection was not taken in");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(most: usize) -> Door {
        Door { strangers: VecDeque::new(), open: Arc::new(()), most, told: None }
    }

    #[test]
    fn the_oldest_stranger_makes_room() {
        let mut door = door(1000);
        let first = door.admit(None).expect("there is room");
        let second = door.admit(None).expect("there is room");
        first.0.admit();
        let others: Vec<_> = (0..MOST_STRANGERS).filter_map(|_| door.admit(None)).collect();
        assert_eq!(others.len(), MOST_STRANGERS);
        // The first is no longer a stranger, and the second was the oldest.
        assert!(!second.0.is_unproven(), "it was not turned away");
        assert!(others.iter().all(|(peer, _)| peer.is_unproven()));
    }

    #[test]
    fn a_full_house_closes_strangers_and_no_replica() {
        let mut door = door(2);
        let (known, _open) = door.admit(None).expect("there is room");
        known.admit();
        let (stranger, open) = door.admit(None).expect("there is room");
        let (next, _next_open) = door.admit(None).expect("the stranger makes room");
        assert!(!stranger.is_unproven());
        drop(open);
        next.admit();
        assert!(door.admit(None).is_none(), "two are open, and both are known");
    }

    #[test]
    fn a_failure_to_accept_gives_a_descriptor_back() {
        let mut door = door(1000);
        let (stranger, _open) = door.admit(None).expect("there is room");
        door.failed(&io::Error::other("too many open files"));
        assert!(!stranger.is_unproven());
        door.failed(&io::Error::other("too many open files"));
    }
}
