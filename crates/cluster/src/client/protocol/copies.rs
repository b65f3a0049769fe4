//! Which version of each server's variables is here, and which was requested.
//!
//! Invariant: no server has more than one pull to answer.

use super::{Request, Version};

#[derive(Debug)]
pub(super) struct Copies {
    servers: Vec<ServerCopy>,
    /// Whether to ask for all bits.
    full: bool,
    /// How many pieces have come, of all servers' variables.
    pub(super) pieces: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct ServerCopy {
    /// The version that is there whole; `None` while it is being written.
    version: Option<Version>,
    pull: Pull,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pull {
    #[default]
    Idle,
    /// A version newer than this was requested.
    Pending(Option<Version>),
}

impl Copies {
    pub(super) fn new(servers: usize, full: bool) -> Self {
        Self { servers: vec![ServerCopy::default(); servers], full, pieces: 0 }
    }

    /// What of a server's variables is here now.
    pub(super) fn hold(&mut self, server: usize, version: Option<Version>) {
        let Some(copy) = self.servers.get_mut(server) else { return };
        copy.version = version;
        if version.is_some() && copy.pull != Pull::Pending(version) {
            copy.pull = Pull::Idle;
        }
    }

    /// The common version of all parts, if there is one.
    pub(super) fn version(&self) -> Option<Version> {
        let first = self.servers.first()?.version?;
        self.servers.iter().all(|copy| copy.version == Some(first)).then_some(first)
    }

    /// The newest version of any part.
    pub(super) fn newest(&self) -> Option<Version> {
        self.servers.iter().filter_map(|copy| copy.version).max()
    }

    /// The version to request from a server for its part of a common version; `None` if there is no
    /// need, or it was requested.
    pub(super) fn pull_up_to(&mut self, server: usize, least: Version) -> Option<Request> {
        let wanted = self.newest().map_or(least, |newest| newest.max(least));
        let here = self.servers[server].version.is_some_and(|version| version >= wanted);
        if here { None } else { self.pull_next(server) }
    }

    /// The request for the version after the present one; `None` if it was made.
    pub(super) fn pull_next(&mut self, server: usize) -> Option<Request> {
        let copy = &mut self.servers[server];
        if copy.pull != Pull::Idle {
            return None;
        }
        copy.pull = Pull::Pending(copy.version);
        Some(Request::Pull { after: copy.version, full: self.full })
    }

    /// The connection to a server is gone: the answer will not come.
    pub(super) fn lost(&mut self, server: usize) {
        self.servers[server].pull = Pull::Idle;
    }

    /// From now on all bits are needed; what is here, or was requested, is useless.
    pub(super) fn want_all_bits(&mut self) {
        if !std::mem::replace(&mut self.full, true) {
            self.servers.fill(ServerCopy::default());
        }
    }
}
