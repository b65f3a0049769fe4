//! What became of a push, as a value.
//!
//! Being late is no error: a slow replica did nothing wrong. Invariant: a push that changed
//! anything answers `Accepted`, one that changed nothing answers `Stale` or an error.

use crate::{GlobalStep, LocalStep};

/// What became of a pushed gradient.
// R-2, P-7
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Applied {
    /// It was fresh and is held.
    Accepted {
        /// How many gradients are now held, including this one.
        ///
        /// If the same push completes a waiting take, this is the count that the take sees.
        count: u64,
    },
    /// It was computed at a step that is over, and was dropped unread.
    Stale {
        /// The step that it was computed at.
        local_step: LocalStep,
        /// The step that it was measured against; the larger of the two.
        global_step: GlobalStep,
    },
}

impl Applied {
    /// Whether the gradient is held.
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }
}

/// Whether a local step is late, before anything is done about it.
//
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Freshness {
    /// It is at least the global step.
    Fresh,
    /// It is below the global step.
    Stale {
        /// The step that was judged.
        local_step: LocalStep,
        /// The step that it was measured against.
        global_step: GlobalStep,
    },
}

impl Freshness {
    /// Whether it is at least the global step.
    pub const fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh)
    }
}
