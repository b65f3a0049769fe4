//! Places in an order, each of a type of its own, so that none is taken for another.

use std::fmt;

/// A parameter server's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerIndex(usize);

impl ServerIndex {
    /// Number 0, which has the coordinator and the leader.
    pub const LEADER: Self = Self(0);

    /// Number `index` from 0 on.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

impl fmt::Display for ServerIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
