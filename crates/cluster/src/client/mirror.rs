//! The replica's own copy of the variables, filled from what the servers send.
//!
//! A version counts only once all servers' parts are of one generation and step, so a replica never
//! computes from a mixture (P-11).

use std::sync::Arc;

use sync_replicas::{Generation, GlobalStep, Scalar, Variables};

use crate::placement::Placement;
use crate::proto::to_server::Message;
use crate::proto::{self, Values};
use crate::shard::Wire;
use crate::wire::WireError;

/// A generation and a step in it, in the order of time.
pub(super) type Version = (Generation, GlobalStep);

pub(super) struct Mirror<T: Scalar> {
    pub(super) variables: Variables<T>,
    placement: Arc<Placement>,
    servers: Vec<Server>,
    wire: Wire,
}

#[derive(Clone, Copy, Debug, Default)]
struct Server {
    /// What is there whole; `None` while it is being written.
    version: Option<Version>,
    /// The version after which a newer one was asked for and has not come.
    asked: Option<Option<Version>>,
    /// Its line, and how many of what that put into the inbox was taken.
    line: u64,
    taken: u64,
}

impl<T: Scalar + bytemuck::Pod> Mirror<T> {
    pub(super) fn new(variables: Variables<T>, placement: Arc<Placement>, wire: Wire) -> Self {
        let servers = vec![Server::default(); placement.shards()];
        Self { variables, placement, servers, wire }
    }

    /// One without variables, in the place of one that is lent.
    pub(super) fn hollow(&self) -> Self {
        let placement = Arc::clone(&self.placement);
        Self { variables: Variables::new(), placement, servers: Vec::new(), wire: self.wire }
    }

    /// The version of all parts, if they are of one.
    pub(super) fn version(&self) -> Option<Version> {
        let first = self.servers.first()?.version?;
        self.servers.iter().all(|copy| copy.version == Some(first)).then_some(first)
    }

    /// What a server must be asked for to get to a common version, if it was not yet: a version
    /// newer than the answer's.
    pub(super) fn ask_up_to(&mut self, server: usize, least: Version) -> Option<Option<Version>> {
        let newest = self.servers.iter().filter_map(|copy| copy.version).max();
        let copy = &mut self.servers[server];
        let wanted = newest.map_or(least, |newest| newest.max(least));
        if copy.asked.is_some() || copy.version.is_some_and(|version| version >= wanted) {
            return None;
        }
        copy.asked = Some(copy.version);
        Some(copy.version)
    }

    /// Notes that the version after the present one was asked for; `None` if it was before.
    pub(super) fn ask_next(&mut self, server: usize) -> Option<Option<Version>> {
        let copy = &mut self.servers[server];
        if copy.asked.is_some() {
            return None;
        }
        copy.asked = Some(copy.version);
        copy.asked
    }

    /// The line to a server is gone: what was asked will not come, what came in part is void.
    pub(super) fn lost(&mut self, server: usize) {
        let version = self.servers[server].version;
        self.servers[server] = Server { version, ..Server::default() };
    }

    /// From now on a server's values come over this line.
    pub(super) fn opened(&mut self, server: usize, line: u64) {
        self.lost(server);
        self.servers[server].line = line;
    }

    /// Whether values of this line may be taken past the inbox, into which it has put so many.
    pub(super) fn is_level(&self, (server, line): (usize, u64), queued: u64) -> bool {
        self.servers.get(server).is_some_and(|it| it.line == line && it.taken == queued)
    }

    /// Takes values out of the inbox.
    pub(super) fn take_queued(&mut self, server: usize, values: &Values) -> Result<(), WireError> {
        self.servers[server].taken += 1;
        self.take(server, values)
    }

    /// One piece of a snapshot.
    pub(super) fn take(&mut self, server: usize, values: &Values) -> Result<(), WireError> {
        let copy = &mut self.servers[server];
        copy.version = None;
        let parts = self.placement.parts(server);
        let bad = |expected, got: String| WireError { expected, got };
        if !values.data.is_empty() {
            let part = usize::try_from(values.part).ok().and_then(|part| parts.get(part));
            let part =
                part.ok_or_else(|| bad("a part of this server", format!("part {}", values.part)))?;
            let array = self.variables.get_mut(part.variable);
            let row: usize = array.shape().iter().skip(1).product();
            let range = part.rows.start * row..part.rows.end * row;
            let numbers = array.as_slice_mut().and_then(|all| all.get_mut(range));
            let numbers = numbers.ok_or_else(|| bad("a part in range", part.name.clone()))?;
            let start = usize::try_from(values.offset).unwrap_or(usize::MAX);
            let count = values.data.len() / self.wire.element::<T>();
            let numbers = start
                .checked_add(count)
                .and_then(|end| numbers.get_mut(start..end))
                .ok_or_else(|| bad("numbers within the part", format!("{count} from {start}")))?;
            self.wire.read(&values.data, numbers);
        }
        if values.last {
            let generation = Generation::new(values.generation);
            copy.version = Some((generation, GlobalStep::new(values.global_step)));
            copy.asked = None;
        }
        Ok(())
    }
}

/// "Send me what is newer than this."
pub(super) fn pull(after: Option<Version>) -> Message {
    let (generation, after) =
        after.map_or((0, -1), |(generation, step)| (generation.get(), step.get()));
    Message::Pull(proto::Pull { generation, after })
}
