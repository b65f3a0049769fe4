//! A contribution on its way: sent to every server, sent again over connections that broke,
//! committed once all of them hold it.
//!
//! Invariant: once a server has said that it holds its part, it does so until the coordinator
//! decides, whatever becomes of the connection; all else is sent again.

use std::time::Duration;

use sync_replicas::engine::Outcome;

use super::{PushError, Work};
use crate::coordinator::Commit;

/// A contribution without an outcome yet.
#[derive(Debug)]
pub(super) struct Push {
    commit: Commit,
    pub(super) work: Work,
    /// By server.
    parts: Vec<PartStatus>,
    /// Whether the coordinator's server has said that there is room.
    has_room: bool,
    /// Whether the commit was sent over the coordinator's present connection.
    committed: bool,
    pub(super) result: Option<Result<Outcome, PushError>>,
}

/// What is known of one server's part.
#[derive(Clone, Copy, Debug, Default)]
struct PartStatus {
    /// The connection that last carried it.
    sent: Option<u64>,
    /// The server's receipt, once it holds it.
    receipt: Option<u64>,
}

impl PartStatus {
    fn is_staged(&self) -> bool {
        self.receipt.is_some()
    }
}

impl Push {
    pub(super) fn new(commit: Commit, work: Work, servers: usize) -> Self {
        let parts = vec![PartStatus::default(); servers];
        Self { commit, work, parts, has_room: false, committed: false, result: None }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.result.is_none()
    }

    /// Whether to send a server its part over this connection, whatever was committed: what an
    /// earlier connection broke off is lost. Where room is bounded, the coordinator's server gives
    /// it for all servers, so that no replica has room at one while it waits for it at another.
    pub(super) fn is_due(&self, server: usize, number: u64, bounded: bool) -> bool {
        let part = &self.parts[server];
        let has_room = server == 0 || !bounded || self.has_room;
        self.is_under_way() && has_room && !part.is_staged() && part.sent != Some(number)
    }

    /// There is room for it.
    pub(super) fn admit(&mut self) {
        self.has_room = true;
    }

    /// A server is sent its part over this connection. If no other server has a part, returns the
    /// commit to send with it.
    pub(super) fn send(&mut self, server: usize, number: u64, now: Duration) -> Option<Commit> {
        self.parts[server].sent = Some(number);
        let alone = self.parts.len() == 1;
        alone.then(|| self.commit(now))
    }

    /// A server holds its part whole, until the coordinator has decided.
    pub(super) fn stage(&mut self, server: usize, receipt: u64) {
        if let Some(part) = self.parts.get_mut(server) {
            part.receipt = Some(receipt);
        }
    }

    /// The coordinator's connection is gone, and perhaps the commit with it.
    pub(super) fn uncommit(&mut self) {
        self.committed = false;
    }

    /// The commit, once the coordinator was sent its part over this connection and every other
    /// server holds its own; `None` if that is not so, or the commit was sent.
    pub(super) fn commit_when_held(&mut self, number: u64, now: Duration) -> Option<Commit> {
        let held = self.parts[1..].iter().all(PartStatus::is_staged);
        let sent = self.parts[0].sent == Some(number);
        let due = held && sent && !self.committed && self.is_under_way();
        due.then(|| self.commit(now))
    }

    fn commit(&mut self, now: Duration) -> Commit {
        self.committed = true;
        // The coordinator knows of its part.
        let receipts = self.parts[1..].iter().filter_map(|part| part.receipt);
        let receipts = receipts.fold(0, |together, one| together ^ one);
        Commit { receipts, times: self.work.times(now), ..self.commit.clone() }
    }

    /// It belongs to a past life.
    pub(super) fn lose(&mut self, reason: &str) {
        let lost = PushError::Lost { reason: reason.to_owned() };
        self.result.get_or_insert(Err(lost));
    }
}
