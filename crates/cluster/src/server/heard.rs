//! What comes over a server's connections: its first message in time, and what makes no sense
//! counted, whoever sent it.

use std::error::Error;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message;
use sync_replicas::Scalar;
use tonic::{Code, Status};

use super::node::Node;
use crate::stream::Receiving;

/// How long a connection may take to say hello.
const HELLO: Duration = Duration::from_secs(5);

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// The first message of a connection, which comes at once or never.
    pub(super) async fn first<M: Message + Default>(
        &self,
        incoming: &mut Receiving<M>,
    ) -> Result<Option<M>, Status> {
        let first = tokio::time::timeout(HELLO, incoming.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello within 5 s"))?;
        first.inspect_err(|status| self.broke("a caller", status))
    }

    /// A connection broke: because the other side went, or because what it sent is no message.
    pub(super) fn broke(&self, from: &str, status: &Status) {
        let reason = crate::client::describe(status);
        // What the transport lost has a cause beneath it; what could not be read has none.
        let unreadable =
            matches!(status.code(), Code::Internal | Code::OutOfRange | Code::Unimplemented);
        if unreadable && status.source().is_none() {
            self.nonsense(from, &reason);
        } else {
            tracing::debug!(from, reason, "connection lost");
        }
    }

    /// Counts a message that makes no sense.
    pub(super) fn nonsense(&self, from: &str, reason: &str) {
        self.counters.bad_messages.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(from, reason, "a bad message");
    }
}
