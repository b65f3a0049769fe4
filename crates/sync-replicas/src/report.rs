//! What a `fit` reports when it is over: plain data, filled in by `fit.rs`.

use std::time::Duration;

use engine::{ReplicaId, Tally};

/// What a training did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Updates that this `fit` made.
    // P-8
    pub updates: u64,
    /// The global step at its end.
    pub global_step: i64,
    /// Batches pushed, accepted or not.
    // P-8
    pub batches: u64,
    /// Examples in accepted batches.
    // P-8
    pub examples: u64,
    /// Pushed batches that became part of an update; those of a step never made do not count.
    pub accepted: u64,
    /// Pushed batches that were dropped as stale.
    pub stale: u64,
    /// Pushed batches that were dropped because another replica was first with them.
    pub duplicates: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Why it ended.
    pub stopped: String,
    /// What each replica did.
    pub replicas: Vec<ReplicaReport>,
}

impl Report {
    /// The replicas that failed or panicked, by number, and why; not those whose data ended.
    // P-5
    pub fn failed(&self) -> impl Iterator<Item = (ReplicaId, &str)> {
        self.replicas.iter().filter_map(|it| Some((it.replica, it.outcome.failure()?)))
    }
}

/// What one replica did.
// P-7
#[derive(Clone, Debug)]
pub struct ReplicaReport {
    /// Which one.
    pub replica: ReplicaId,
    /// Batches begun.
    pub batches: u64,
    /// Its counters.
    pub tally: Tally,
    /// Accepted gradients whose step was never made; the tally does not count them.
    pub unused: u64,
    /// How long it had no token, and waited for one.
    pub waited: Duration,
    /// How long it had tokens, from receiving each to its push.
    pub computed: Duration,
    /// How it ended.
    pub outcome: ReplicaOutcome,
}

/// How a replica's loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaOutcome {
    /// Training ended.
    Finished,
    /// Its data ended; the others went on.
    // P-6
    DataEnded,
    /// It failed, in these words; the others went on.
    // P-5
    Failed(String),
    /// It panicked, in these words; the others went on.
    // P-5
    Panicked(String),
}

impl ReplicaOutcome {
    /// Why it left, if it failed or panicked.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) | Self::Panicked(reason) => Some(reason),
            Self::Finished | Self::DataEnded => None,
        }
    }
}
