//! Who is expected to come, and whom nobody waits for.

use sync_replicas::{Incarnation, ReplicaId};

use super::Coordinator;

impl Coordinator {
    /// The replicas that have not left and are not taken for dead, and whether each of them has
    /// joined this generation.
    pub fn awaited(&self) -> impl Iterator<Item = (ReplicaId, bool)> {
        (0..).map(ReplicaId::new).zip(&self.seats).filter(|(_, seat)| !seat.left).filter_map(
            |(replica, seat)| {
                let joined = seat.incarnation != Incarnation::default();
                (seat.live || !joined).then_some((replica, joined))
            },
        )
    }
}
