//! What the engine was told and what it answered, in order, to check the whole.
//!
//! Kept only on request.

use sync_replicas::ReplicaId;
use sync_replicas::driver::Incarnation;
use sync_replicas::engine::{Decision, Effect, Push, Refused};

use super::Coordinator;
use crate::index::VariableIndex;

/// Something that the engine was told, or that it answered.
#[derive(Clone, Debug)]
pub enum Observed {
    /// Training began, with so many tokens.
    Started {
        /// How many were put.
        tokens: usize,
    },
    /// A replica joined.
    Joined {
        /// Which one.
        replica: ReplicaId,
        /// As which life of it.
        incarnation: Incarnation,
    },
    /// A replica is no longer a member.
    Left {
        /// Which one.
        replica: ReplicaId,
    },
    /// A replica abandoned its piece of work.
    GaveUp {
        /// Which one.
        replica: ReplicaId,
    },
    /// A replica's lease began anew.
    Renewed {
        /// Which one.
        replica: ReplicaId,
    },
    /// It is about to be told that time has passed.
    Ticked,
    /// By lane: its variable. From now on.
    Lanes(Vec<VariableIndex>),
    /// A push was judged.
    Decided {
        /// As the engine had it.
        push: Push,
        /// Its decision.
        decision: Result<Decision, Refused>,
    },
    /// Its answer to the last of the others.
    Effect(Effect),
}

/// Empty unless requested.
#[derive(Debug)]
pub(super) struct Observations(Option<Vec<Observed>>);

impl Observations {
    pub(super) fn new(requested: bool) -> Self {
        Self(requested.then(Vec::new))
    }

    pub(super) fn note(&mut self, observed: impl FnOnce() -> Observed) {
        if let Some(all) = &mut self.0 {
            all.push(observed());
        }
    }
}

impl Coordinator {
    /// What the engine was told and answered since this was last asked.
    pub fn take_observed(&mut self) -> Vec<Observed> {
        self.observations.0.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
