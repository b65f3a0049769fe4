//! Where a membership ends by silence towards the coordinator (P-5).
//!
//! Every request of a member counts as a sign of life here, and so does a hello. The engine has its
//! own lease for the token in a replica's hands, which
//! [`Engine::renew`](sync_replicas::engine::Engine::renew) begins anew.

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
