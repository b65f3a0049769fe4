//! How many contributions are staged at once: others wait in line.
//!
//! Knows nothing of connections or shards. Invariant: a replica has one place at most, in the name
//! of its newest contribution; a decision on an earlier one does not take it away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sync_replicas::ReplicaId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::command::Contribution;
use crate::sync::lock;

/// As many places as contributions may be staged at once.
pub(crate) struct StagingRoom {
    free: Arc<Semaphore>,
    taken: Mutex<HashMap<ReplicaId, (Contribution, Place)>>,
}

/// An exclusive place; dropping it gives it to the next in the line.
pub(crate) type Place = OwnedSemaphorePermit;

impl StagingRoom {
    pub(crate) fn new(places: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(places.max(1))), taken: Mutex::default() }
    }

    /// Hands the replica's place, if it has one, to its newer contribution; says whether it has.
    pub(crate) fn hand_over(&self, contribution: Contribution) -> bool {
        let mut taken = lock(&self.taken);
        let own = taken.get_mut(&contribution.replica);
        own.map(|(newest, _)| *newest = contribution.max(*newest)).is_some()
    }

    /// Waits in the line for a place. Dropping the answer leaves the line.
    pub(crate) async fn place(&self) -> Option<Place> {
        // Never closed.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    pub(crate) fn take(&self, contribution: Contribution, place: Place) {
        lock(&self.taken).insert(contribution.replica, (contribution, place));
    }

    /// A contribution no longer takes room, nor do the replica's earlier ones.
    pub(crate) fn release(&self, contribution: Contribution) {
        let mut taken = lock(&self.taken);
        if taken.get(&contribution.replica).is_some_and(|(newest, _)| *newest <= contribution) {
            taken.remove(&contribution.replica);
        }
    }

    pub(crate) fn release_all(&self) {
        lock(&self.taken).clear();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use sync_replicas::driver::Incarnation;

    use super::*;

    fn contribution(replica: u64, incarnation: u64, sequence: u64) -> Contribution {
        let (replica, incarnation) = (ReplicaId::new(replica), Incarnation::new(incarnation));
        Contribution { replica, incarnation, sequence }
    }

    fn is_free(room: &StagingRoom) -> bool {
        let place = pin!(room.place());
        place.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_place_is_in_the_name_of_the_newest_contribution() {
        let room = StagingRoom::new(1);
        let [first, second, later] = [(1, 1), (1, 2), (2, 1)].map(|(i, s)| contribution(0, i, s));
        let place = room.free.clone().try_acquire_owned().expect("nobody has it");
        room.take(first, place);
        assert!(room.hand_over(later) && room.hand_over(second) && !is_free(&room));
        // The word on what it did in an earlier life, or on another replica's.
        room.release(first);
        room.release(second);
        room.release(contribution(1, 9, 9));
        assert!(!is_free(&room) && !room.hand_over(contribution(1, 1, 1)));
        room.release(later);
        assert!(is_free(&room) && !room.hand_over(later));
    }

    #[test]
    fn whoever_leaves_the_line_is_passed_over() {
        let room = StagingRoom::new(1);
        let place = room.free.clone().try_acquire_owned().expect("nobody has it");
        let mut context = Context::from_waker(Waker::noop());
        let mut next = pin!(room.place());
        {
            let mut gone = pin!(room.place());
            assert!(gone.as_mut().poll(&mut context).is_pending());
            assert!(next.as_mut().poll(&mut context).is_pending());
            drop(place);
        }
        assert!(next.as_mut().poll(&mut context).is_ready(), "nobody else wants it");
    }
}
