//! Which replicas may come once more, and when each was last heard of.

use std::time::Duration;

use sync_replicas::ReplicaId;

use super::Coordinator;

impl Coordinator {
    /// The replicas that have not left, and when each was last heard of in this generation; zero if
    /// never.
    pub fn awaited(&self) -> impl Iterator<Item = (ReplicaId, Duration)> {
        let replicas = (0..).map(ReplicaId::new).zip(&self.records);
        replicas.filter(|(_, record)| !record.left).map(|(replica, record)| (replica, record.heard))
    }
}
