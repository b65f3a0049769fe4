//! Places in an order, each of its own type, so that none is taken for another.

use std::fmt;

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(usize);

        impl $name {
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

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

index!(
    /// A parameter server's number.
    ServerIndex
);
index!(
    /// A variable's place in the order of variables, in which tables stand behind all others. No
    /// lane: those are counted in the order in which variables have their first gradient.
    VariableIndex
);

impl ServerIndex {
    /// Number 0, which has the coordinator and the leader.
    pub const LEADER: Self = Self(0);
}
