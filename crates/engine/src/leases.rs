//! The list of leases: when each may end, and how long contributions take.
//!
//! Decides nothing; `expiry.rs` does.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::ReplicaId;

/// The median is over at most this many contributions.
pub(crate) const LATEST: usize = 64;

/// The tokens that are out, by the time of their next check.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    /// When a lease may end, one entry a replica. Renewing leaves it where it is: a due entry is
    /// checked, and put back if there is time left.
    pub(crate) ends: BinaryHeap<Reverse<(Duration, ReplicaId)>>,
    /// Lease by lease, as they began. Returned ones are dropped in passing.
    pub(crate) by_age: VecDeque<(u64, ReplicaId)>,
    /// How many there were.
    pub(crate) lent: u64,
    /// How long the latest contributions that counted took, from token to push.
    took: VecDeque<Duration>,
}

impl Leases {
    /// A contribution counted, this long after its replica got the token for it.
    pub(crate) fn came_back(&mut self, after: Duration) {
        if self.took.len() == LATEST {
            self.took.pop_front();
        }
        self.took.push_back(after);
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ends.len() + self.by_age.len()
    }

    pub(crate) fn median(&self) -> Option<Duration> {
        let mut took: Vec<Duration> = self.took.iter().copied().collect();
        let middle = took.len() / 2;
        (!took.is_empty()).then(|| *took.select_nth_unstable(middle).1)
    }
}
