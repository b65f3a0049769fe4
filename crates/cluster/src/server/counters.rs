//! What a server counts for metrics, invalid messages among them.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use tonic::{Code, Status};

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Payload bytes received.
    pub(super) received_bytes: AtomicU64,
    /// Snapshots sent.
    pub(super) snapshots: AtomicU64,
    /// Invalid messages.
    pub(super) bad_messages: AtomicU64,
}

impl Counters {
    /// A connection broke: because the other side went, or because its bytes are not a message.
    pub(super) fn broke(&self, from: &str, status: &Status) {
        let reason = crate::call_status::describe(status);
        // What the transport lost has a cause beneath it; what could not be read has none.
        let unreadable =
            matches!(status.code(), Code::Internal | Code::OutOfRange | Code::Unimplemented);
        if unreadable && status.source().is_none() {
            self.nonsense(from, &reason);
        } else {
            tracing::debug!(from, reason, "connection lost");
        }
    }

    /// Counts an invalid message.
    pub(super) fn nonsense(&self, from: &str, reason: &str) {
        self.bad_messages.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(from, reason, "a bad message");
    }
}
