//! What goes into the engine and what comes out: pushes, decisions, effects, refusals.
//!
//! Plain data, so that a network can carry it and a test can compare it.

use std::fmt;
use std::time::Duration;

use accum_core::{GlobalStep, LocalStep};

use crate::{Generation, Incarnation, ReplicaId};

/// A replica's gradients, without the gradients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The replica that pushes.
    pub replica: ReplicaId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The life of the shared state that it joined.
    pub generation: Generation,
    /// The contribution's number in this incarnation, from 1 upwards: a repeated number is a
    /// repetition, and does not count again.
    // P-15
    pub sequence: u64,
    /// The step that the gradients claim.
    pub local_step: LocalStep,
    /// Which lanes have a gradient; `None` for all.
    pub lanes: Option<Vec<usize>>,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its fate.
    pub outcome: Outcome,
    /// Whether this answers a repetition: its gradients must not be added again.
    pub repeated: bool,
}

/// The fate of one contribution.
// P-7
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is part of the step.
    Accepted {
        /// How many contributions the step holds with it.
        count: u64,
    },
    /// The step that it claims is over; it was dropped.
    Stale {
        /// The step that it claimed.
        local_step: LocalStep,
        /// The step that gradients must have.
        global_step: GlobalStep,
    },
    /// Another replica was first with this share of the step (replica order only); it was dropped.
    Duplicate {
        /// The share.
        share: u64,
    },
    /// It is infinite or NaN, and was left out (with [`NonFinite::Skip`](crate::NonFinite) only).
    // P-25
    NotFinite,
    /// Some variables took it, others dropped it (per-variable admission only).
    Partly {
        /// The lanes that took it.
        accepted: Vec<usize>,
    },
}

impl Outcome {
    /// Whether any variable took it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Partly { .. })
    }
}

/// A permission to compute one batch: the token's value and what to work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The replica.
    pub replica: ReplicaId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The step to claim.
    pub local_step: LocalStep,
    /// The share of the step to compute (replica order only).
    pub share: Option<u64>,
    /// The number of the batch.
    pub number: u64,
}

/// What the caller must do now, in the order in which the effects came.
///
/// Exhaustive, so that the compiler points out a new one wherever effects are carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give a waiting replica its token.
    Grant(Grant),
    /// Take a lane's gradients, update its variables, then report
    /// [`Engine::applied`](super::Engine::applied).
    Close {
        /// The lane; with all-or-nothing admission the only one, lane 0.
        lane: usize,
        /// How many contributions it holds.
        count: u64,
    },
    /// The global step moved: publish it.
    Advanced {
        /// The new step.
        global_step: GlobalStep,
    },
    /// The work of this replica can no longer count; so with every other replica whose step is
    /// below the one just published.
    // P-13
    Superseded {
        /// The replica.
        replica: ReplicaId,
    },
    /// A replica kept a token for too long; the token went to the front of the queue.
    // P-5, P-28
    TokenExpired {
        /// The replica.
        replica: ReplicaId,
        /// Why the token went on.
        cause: Expiry,
    },
    /// The step took longer than its deadline: the waits of these replicas fail, or their batches
    /// were given up.
    // P-5
    Overdue(Overdue),
    /// Training ended: every wait ends.
    // P-1, P-2
    Ended,
}

/// Why a token went to another replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Its replica showed no sign of life for a whole lease.
    // P-5
    Silent,
    /// Its replica lives, and worked with it for longer than the step timeout.
    // P-28
    TimedOut {
        /// The limit at that moment.
        limit: Duration,
    },
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("it was silent for a whole lease"),
            Self::TimedOut { limit } => {
                write!(f, "it has worked on one batch for longer than the step timeout, {limit:?}")
            }
        }
    }
}

/// A step that took too long, and who is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "step {global_step} is overdue: {count} of {needed} gradients are in, and {} not pushed; \
     raise the step deadline, or see why they are slow",
    describe(.missing)
)]
pub struct Overdue {
    /// The step.
    pub global_step: GlobalStep,
    /// How many contributions it holds.
    pub count: u64,
    /// A, the gradients that a step needs.
    pub needed: u64,
    /// The replicas that hold a token and have not pushed.
    pub missing: Vec<ReplicaId>,
    /// The replicas that are told: their waits end, or they have just given a batch up.
    pub waiting: Vec<ReplicaId>,
}

fn describe(missing: &[ReplicaId]) -> String {
    match missing {
        [] => "no live replica holds a token: all missing ones have left or died and have".into(),
        [one] => format!("{one} has"),
        many => {
            let names: Vec<String> = many.iter().map(|replica| replica.get().to_string()).collect();
            format!("replicas {} have", names.join(", "))
        }
    }
}

/// Why training ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A caller asked for it, in these words.
    Requested(String),
    /// An update failed, in these words; the step was not applied.
    Failed(String),
}

/// The reason's words; a failure is marked as such.
impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested(reason) => f.write_str(reason),
            Self::Failed(reason) => write!(f, "it failed: {reason}"),
        }
    }
}

/// Why an event was refused; it changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Training has ended.
    #[error("training has ended")]
    Ended,
    /// It comes from another life of the shared state.
    // P-9
    #[error("it belongs to {got}, but {expected} is running; join again")]
    Generation {
        /// The running generation.
        expected: Generation,
        /// The given generation.
        got: Generation,
    },
    /// The sender is not (or no longer) a member in this incarnation.
    #[error("{replica}, {incarnation}, is not a member; join first")]
    NotJoined {
        /// The replica.
        replica: ReplicaId,
        /// Its incarnation.
        incarnation: Incarnation,
    },
    /// A push of nothing; it would spend a token and bring no step nearer.
    //
    #[error("a push names no lane; name at least one, or give the batch up")]
    Empty,
    /// A lane that does not exist.
    #[error("lane {lane} was named, but there are {lanes}")]
    Lane {
        /// The given lane.
        lane: usize,
        /// The number of lanes.
        lanes: usize,
    },
}

/// Why a replica could not join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Training has ended.
    #[error("training has ended; no replica can join")]
    Ended,
    /// There is no such replica.
    #[error("{replica} cannot join: replicas are numbered 0 to {}", total - 1)]
    Unknown {
        /// The replica.
        replica: ReplicaId,
        /// N, the number of replicas.
        total: usize,
    },
    /// It is already there.
    #[error("{replica} has joined already and has not left; each replica has one handle at a time")]
    Present {
        /// The replica.
        replica: ReplicaId,
    },
}
