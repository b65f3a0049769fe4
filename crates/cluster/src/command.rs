//! What a coordinator tells shards, and what names a piece of work, as plain data.

use std::fmt;
use std::ops::RangeInclusive;

use sync_replicas::driver::{Generation, Incarnation};
use sync_replicas::{GlobalStep, ReplicaId};

use crate::index::VariableIndex;

/// What a replica got when it joined, and shows with every request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// The life of the shared state.
    pub generation: Generation,
    /// The life of the replica.
    pub incarnation: Incarnation,
}

/// One piece of a replica's work, as all servers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contribution {
    /// The replica that computed it.
    pub replica: ReplicaId,
    /// The life of the replica.
    pub incarnation: Incarnation,
    /// Its number in that life.
    pub sequence: u64,
}

impl Contribution {
    pub(crate) fn first_of(replica: ReplicaId) -> Self {
        Self { replica, incarnation: Incarnation::new(0), sequence: 0 }
    }

    pub(crate) fn all_of(replica: ReplicaId) -> RangeInclusive<Self> {
        let last = Self { replica, incarnation: Incarnation::new(u64::MAX), sequence: u64::MAX };
        Self::first_of(replica)..=last
    }
}

impl fmt::Display for Contribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replica, incarnation, sequence } = self;
        write!(f, "contribution {sequence} of {replica} ({incarnation})")
    }
}

/// How many whole contributions of a replica are staged at most: the one under decision, and the
/// next (P-27).
pub(crate) const MOST_WHOLE: usize = 2;

/// A decision on a staged contribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It counts.
    Admit {
        /// Which one.
        contribution: Contribution,
        /// Its place in the sum, in replica order.
        key: u64,
        /// The variables that took it; `None` for all.
        variables: Option<Vec<VariableIndex>>,
    },
    /// It does not count, nor do the replica's earlier ones.
    Discard(Contribution),
}

impl Decision {
    /// Which contribution it is about.
    #[must_use]
    pub fn contribution(&self) -> Contribution {
        match self {
            Self::Admit { contribution, .. } | Self::Discard(contribution) => *contribution,
        }
    }
}

/// To every shard; each carries them out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardCommand {
    /// What becomes of staged contributions.
    Decide(Vec<Decision>),
    /// Take the gradients of a variable (`None`: of all) and update it.
    Apply {
        /// What was decided before it, and in no command yet.
        decided: Vec<Decision>,
        /// The variable, where each is admitted by itself.
        variable: Option<VariableIndex>,
        /// The step that is made once all are applied.
        global_step: GlobalStep,
        /// Whether this makes it.
        last: bool,
    },
}

impl ShardCommand {
    /// What becomes of staged contributions, before anything else that it says.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        match self {
            Self::Decide(decided) | Self::Apply { decided, .. } => decided,
        }
    }
}
