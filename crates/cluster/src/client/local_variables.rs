//! The replica's own copy of the variables, filled from what the servers send.
//!
//! A version counts only once all servers' parts are of one generation and step, so a replica never
//! computes from a mixture (P-11). Where variables travel rounded, all replicas compute from
//! rounded ones; what hooks and the result show has all bits.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Axis, Slice};
use sync_replicas::driver::Generation;
use sync_replicas::store::SpareArrays;
use sync_replicas::{GlobalStep, Scalar, Variables};

use super::protocol::{ConnectionId, Version};
use crate::index::VariableIndex;
use crate::number_format::NumberFormat;
use crate::placement::{PartPlace, Placement};
use crate::proto::Values;
use crate::wire::WireError;

pub(super) struct LocalVariables<T: Scalar> {
    /// What the replica computes from; none once it only shows.
    pub(super) variables: Variables<T>,
    /// What it shows, if that differs.
    full: Option<Variables<T>>,
    placement: Arc<Placement>,
    servers: Vec<ServerValues>,
    wire: NumberFormat,
    /// Arrays that hooks read, writable again once they release them.
    spares: SpareArrays<T>,
    /// How many pieces have come.
    pieces: u64,
    /// Bytes received since the request.
    received: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct ServerValues {
    /// The version that is there whole; `None` while it is being written.
    version: Option<Version>,
    /// Its line, and how many of the line's inbox entries were taken.
    line: u64,
    taken: u64,
}

impl<T: Scalar> LocalVariables<T> {
    pub(super) fn new(
        variables: Variables<T>,
        placement: Arc<Placement>,
        wire: NumberFormat,
    ) -> Self {
        let servers = vec![ServerValues::default(); placement.shards()];
        let spares = SpareArrays::new(1);
        Self { variables, full: None, placement, servers, wire, spares, pieces: 0, received: 0 }
    }

    /// A placeholder without variables, for one that is lent.
    pub(super) fn hollow(&self) -> Self {
        let (variables, placement) = (Variables::new(), Arc::clone(&self.placement));
        let (servers, spares) = (Vec::new(), SpareArrays::new(0));
        let (full, wire) = (None, self.wire);
        Self { variables, full, placement, servers, wire, spares, pieces: 0, received: 0 }
    }

    /// From now on variables come with all bits, and are shown with them.
    pub(super) fn show_all_bits(&mut self) {
        if self.wire != NumberFormat::Native && self.full.is_none() {
            self.full = Some(self.variables.clone());
            self.forget();
        }
    }

    /// The same, for a replica that no longer computes.
    pub(super) fn only_show_all_bits(&mut self) {
        if self.wire != NumberFormat::Native {
            let computed = std::mem::take(&mut self.variables);
            if self.full.is_none() {
                self.full = Some(computed);
                self.forget();
            }
        }
    }

    /// What is here, or was requested, is useless now.
    fn forget(&mut self) {
        for copy in &mut self.servers {
            copy.version = None;
        }
    }

    /// The variables as hooks and the result have them.
    pub(super) fn shown(&self) -> &Variables<T> {
        self.full.as_ref().unwrap_or(&self.variables)
    }

    /// The common version of all parts, if there is one.
    pub(super) fn version(&self) -> Option<Version> {
        let first = self.servers.first()?.version?;
        self.servers.iter().all(|copy| copy.version == Some(first)).then_some(first)
    }

    /// By server: the version that is there whole, if any.
    pub(super) fn versions(&self) -> impl Iterator<Item = Option<Version>> {
        self.servers.iter().map(|copy| copy.version)
    }

    /// How many pieces have come so far, which shows whether there is news.
    pub(super) fn pieces(&self) -> u64 {
        self.pieces
    }

    /// How many bytes have come since the last call.
    pub(super) fn take_received(&mut self) -> u64 {
        std::mem::take(&mut self.received)
    }

    /// The connection to a server is gone: the answer will not come, and a partial one is void.
    pub(super) fn lost(&mut self, server: usize) {
        let version = self.servers[server].version;
        self.servers[server] = ServerValues { version, ..ServerValues::default() };
    }

    /// From now on a server's values come over this connection.
    pub(super) fn opened(&mut self, id: ConnectionId) {
        self.lost(id.server);
        self.servers[id.server].line = id.number;
    }

    /// Whether values of this connection may bypass the inbox, into which it has put so many.
    pub(super) fn is_level(&self, id: ConnectionId, queued: u64) -> bool {
        self.servers.get(id.server).is_some_and(|it| it.line == id.number && it.taken == queued)
    }

    /// Takes values out of the inbox.
    pub(super) fn take_queued(&mut self, server: usize, values: &Values) -> Result<(), WireError> {
        self.servers[server].taken += 1;
        self.take(server, values)
    }

    /// One piece of a snapshot.
    pub(super) fn take(&mut self, server: usize, values: &Values) -> Result<(), WireError> {
        self.pieces += 1;
        self.received += values.data.len() as u64;
        if self.full.is_some() && !values.full {
            // Asked for before all bits were.
            return Ok(());
        }
        let copy = &mut self.servers[server];
        copy.version = None;
        let parts = self.placement.parts(server);
        let bad = |expected, got: String| WireError { expected, got };
        if !values.data.is_empty() {
            let part = usize::try_from(values.part).ok().and_then(|part| parts.get(part));
            let part =
                part.ok_or_else(|| bad("a part of this server", format!("part {}", values.part)))?;
            let (shown, wire) = match &mut self.full {
                Some(full) => (full, NumberFormat::Native),
                None => (&mut self.variables, self.wire),
            };
            unshare(shown, &mut self.spares, &self.placement, server, part.variable);
            let array = shown.get_mut(part.variable.get());
            let row: usize = array.shape().iter().skip(1).product();
            let range = part.rows.start * row..part.rows.end * row;
            let numbers = array.as_slice_mut().and_then(|all| all.get_mut(range.clone()));
            let numbers = numbers.ok_or_else(|| bad("a part in range", part.name.clone()))?;
            let start = usize::try_from(values.offset).unwrap_or(usize::MAX);
            let count = values.data.len() / wire.element::<T>();
            let within = start.saturating_add(count);
            let numbers = numbers
                .get_mut(start..within)
                .ok_or_else(|| bad("numbers within the part", format!("{count} from {start}")))?;
            wire.read(&values.data, numbers);
            if let Some(full) = self.full.as_ref().filter(|_| !self.variables.is_empty()) {
                let range = range.start + start..range.start + within;
                round(self.wire, full, &mut self.variables, part.variable, range);
            }
        }
        if values.last {
            let generation = Generation::new(values.generation);
            copy.version = Some((generation, GlobalStep::new(values.global_step)));
        }
        Ok(())
    }
}

/// Makes the replica compute from these numbers of a variable as they travel to the others.
fn round<T: Scalar>(
    wire: NumberFormat,
    full: &Variables<T>,
    computed: &mut Variables<T>,
    variable: VariableIndex,
    range: Range<usize>,
) {
    let full = full.iter().nth(variable.get()).and_then(|(_, array)| array.as_slice());
    let computed = computed.get_mut(variable.get()).as_slice_mut();
    if let (Some(full), Some(computed)) = (full, computed) {
        wire.round(&full[range.clone()], &mut computed[range]);
    }
}

/// Gives a variable its own memory here: hooks keep the variables that they saw.
///
/// Only what other servers have sent is copied, since this one sends all of its part.
fn unshare<T: Scalar>(
    variables: &mut Variables<T>,
    spares: &mut SpareArrays<T>,
    placement: &Placement,
    server: usize,
    variable: VariableIndex,
) {
    let index = variable.get();
    if !variables.is_shared(index) {
        return;
    }
    let shared = &variables.arrays()[index];
    let mut fresh = spares.take(index, shared);
    for &PartPlace { shard, position } in placement.places(variable) {
        if shard != server {
            let rows = Slice::from(placement.parts(shard)[position].rows.clone());
            let kept = shared.slice_axis(Axis(0), rows);
            fresh.slice_axis_mut(Axis(0), rows).assign(&kept);
        }
    }
    spares.keep(index, variables.replace(index, Arc::new(fresh)));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ndarray::arr1;

    use super::*;

    /// A vector of four on two servers, which send it as so many copies of a step's number.
    struct Sent(LocalVariables<f32>);

    impl Sent {
        fn new() -> Self {
            let placement = Placement::new(&[("w", vec![4])], size_of::<f32>(), 2);
            let variables = Variables::new().with("w", arr1(&[0.0; 4])).expect("a name");
            Self(LocalVariables::new(variables, Arc::new(placement), NumberFormat::Native))
        }

        fn send(&mut self, server: usize, step: i64) {
            let data = Bytes::from([step as f32; 2].map(f32::to_le_bytes).concat());
            let values = Values { global_step: step, data, ..Values::default() };
            self.0.take(server, &values).expect("it fits");
            let last = Values { global_step: step, last: true, ..Values::default() };
            self.0.take(server, &last).expect("it fits");
        }

        fn values(&self) -> (Vec<f32>, *const f32) {
            let w = self.0.variables.get("w").expect("it is there");
            (w.iter().copied().collect(), w.as_ptr())
        }
    }

    #[test]
    fn hooks_keep_what_they_saw_and_its_memory_comes_back() {
        let mut sent = Sent::new();
        let mut seen = sent.0.variables.clone();
        let mut places = Vec::new();
        for step in 1..=6 {
            let before = seen.get("w").expect("it is there").clone();
            sent.send(0, step);
            let half = [step as f32, step as f32, step as f32 - 1.0, step as f32 - 1.0];
            assert_eq!(sent.values().0, half, "another server's part was lost");
            assert_eq!(sent.0.version(), None);
            sent.send(1, step);
            assert_eq!(sent.values().0, [step as f32; 4]);
            assert_eq!(seen.get("w"), Ok(&before), "a hook saw it change");
            places.push(sent.values().1);
            seen = sent.0.variables.clone();
        }
        assert_eq!(places[1..3], places[3..5], "memory was not used again");
        assert_ne!(places[1], places[2]);
    }
}
