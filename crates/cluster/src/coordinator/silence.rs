//! Where the lease of a replica ends in a cluster: by its silence towards the coordinator.
//!
//! Every message of a replica counts, and the engine is told of those that it hears of
//! ([`Engine::renew`](sync_replicas::engine::Engine::renew)); its own leases end tokens of members
//! alone, and this ends the membership.

use std::time::Duration;

use super::Coordinator;

impl Coordinator {
    /// A replica that was silent for a whole lease is no longer a member: its token goes to
    /// another, and it joins again if it comes back (P-5). Returns when the next lease could end.
    pub(super) fn end_silent(&mut self) -> Option<Duration> {
        let lease = self.engine.config().settings().lease?;
        for index in 0..self.records.len() {
            let record = &self.records[index];
            if record.live && record.heard.saturating_add(lease) <= self.now {
                tracing::warn!(replica = index, ?lease, "silent for a lease; it is taken for dead");
                self.depart(index, record.incarnation);
            }
        }
        let heard =
            self.records.iter().filter(|record| record.live).map(|record| record.heard).min();
        heard.map(|heard| heard.saturating_add(lease))
    }
}
