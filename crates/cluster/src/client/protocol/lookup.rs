//! Row lookups under way: requested from the servers that have rows, and again over each connection
//! that replaces a broken one.
//!
//! Invariant: rows of one lookup are of one version, or it is over.

use std::task::Poll;
use std::time::Duration;

use super::{Action, Polled, ReplicaProtocol, Request, Version};

#[derive(Debug)]
pub(super) struct Lookup {
    number: u64,
    version: Version,
    /// By server.
    servers: Vec<Share>,
    /// The version is out of date.
    gone: bool,
}

/// One server's part of it.
#[derive(Clone, Copy, Debug)]
enum Share {
    /// Not here yet; requested over this connection, if any.
    Wanted(Option<u64>),
    /// All of it is here.
    Whole,
}

impl Lookup {
    fn is_whole(&self) -> bool {
        self.servers.iter().all(|share| matches!(share, Share::Whole))
    }
}

impl ReplicaProtocol {
    /// Begins to look up rows of a version, at the servers for which this is true. An earlier
    /// lookup is given up. [`poll_lookup`](Self::poll_lookup) says when the rows are there. Their
    /// keys must be there until then.
    pub fn look_up(
        &mut self,
        version: Version,
        servers: impl IntoIterator<Item = bool>,
        actions: &mut Vec<Action>,
    ) {
        self.lookups += 1;
        let share = |wanted| if wanted { Share::Wanted(None) } else { Share::Whole };
        let servers = servers.into_iter().map(share).collect();
        self.lookup = Some(Lookup { number: self.lookups, version, servers, gone: false });
        self.send_lookups(actions);
    }

    /// The number of the lookup under way.
    #[must_use]
    pub fn lookup_number(&self) -> Option<u64> {
        self.lookup.as_ref().map(|lookup| lookup.number)
    }

    /// Whether all rows of the lookup under way are here.
    #[must_use]
    pub fn is_lookup_whole(&self) -> bool {
        self.lookup.as_ref().is_some_and(|lookup| lookup.is_whole() && !lookup.gone)
    }

    /// Waits for the rows of a lookup: whether they are there, or already of another step, or
    /// training has ended.
    ///
    /// # Errors
    /// [`WaitError`](super::WaitError).
    pub fn poll_lookup(&mut self, now: Duration, actions: &mut Vec<Action>) -> Polled<bool> {
        let Some(lookup) = &self.lookup else { return Poll::Ready(Ok(false)) };
        if lookup.is_whole() || lookup.gone {
            let gone = lookup.gone;
            self.lookup = None;
            return Poll::Ready(Ok(!gone));
        }
        if self.awaits_last_words(now) {
            return Poll::Pending;
        }
        if self.ended.is_some() {
            self.lookup = None;
            return Poll::Ready(Ok(false));
        }
        self.connect(now, actions)?;
        self.send_lookups(actions);
        Poll::Pending
    }

    /// Sends requests not yet made over the present connection.
    pub(super) fn send_lookups(&mut self, actions: &mut Vec<Action>) {
        let Some(lookup) = &mut self.lookup else { return };
        let (number, version) = (lookup.number, lookup.version);
        let mut due = Vec::new();
        for (server, share) in lookup.servers.iter_mut().enumerate() {
            let Share::Wanted(sent) = share else { continue };
            let Some(connection) = self.connections.open(server) else { continue };
            if *sent != Some(connection) {
                *sent = Some(connection);
                due.push(server);
            }
        }
        for server in due {
            self.send(server, vec![Request::Lookup { number, version }], actions);
        }
    }

    /// All rows that a server has of this lookup are here.
    pub fn rows_came(&mut self, server: usize, number: u64) {
        let lookup = self.lookup.as_mut().filter(|lookup| lookup.number == number);
        if let Some(share) = lookup.and_then(|lookup| lookup.servers.get_mut(server)) {
            *share = Share::Whole;
        }
    }

    /// Its rows are already of another step.
    pub(super) fn rows_gone(&mut self, number: u64) {
        if let Some(lookup) = self.lookup.as_mut().filter(|lookup| lookup.number == number) {
            lookup.gone = true;
        }
    }

    /// Its life is over.
    pub(super) fn forget_lookup(&mut self) {
        if let Some(lookup) = &mut self.lookup {
            lookup.gone = true;
        }
    }
}
