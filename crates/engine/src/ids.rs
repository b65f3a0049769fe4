//! The numbers that must not be swapped: replicas, generations, contributions.
//!
//! Steps are accum-core's, tokens token-queue's.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $label:literal) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            Default,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            serde::Serialize,
            serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// From its number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Its number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number after this one; at 2^64 - 1 it stays, which no run can reach.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($label, " {}"), self.0)
            }
        }
    };
}

number!(
    /// A replica: 0 up to, not including, `total_num_replicas`.
    ReplicaId,
    "replica"
);
number!(
    /// One life of the shared state; a restore begins the next. Whatever carries an older number is
    /// fenced off.
    // P-9
    Generation,
    "generation"
);
number!(
    /// One life of one replica: a replica that comes back is another incarnation.
    // P-9, P-15
    Incarnation,
    "incarnation"
);
