//! What the invariants are shown: everything that the server did and was answered, in its order.

use accum_core::GlobalStep;
use engine::{Decision, Effect, Grant, Ledger, Outcome, Push, Refused};
use engine::{Generation, Incarnation, ReplicaId};

use crate::message::Ticket;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fact<'a> {
    /// A server begins to serve: the first, or one restored.
    Serves {
        generation: Generation,
        global_step: GlobalStep,
        variables: &'a [f64],
    },
    /// The chief starts, and puts the initial tokens.
    ChiefStarts {
        tokens: u64,
    },
    Joined {
        replica: ReplicaId,
        incarnation: Incarnation,
    },
    Left {
        replica: ReplicaId,
    },
    GaveUp {
        replica: ReplicaId,
    },
    Renewed {
        replica: ReplicaId,
    },
    /// The engine is about to be told that time has passed.
    Ticked,
    /// The engine decided on a push; its effects follow.
    Decided {
        push: &'a Push,
        gradient: &'a [f64],
        decision: &'a Result<Decision, Refused>,
    },
    Effect(&'a Effect),
    /// A lane's gradients were taken; whose, for each of its variables.
    Took {
        lane: usize,
        count: u64,
        contributors: &'a [Vec<Contributor>],
    },
    /// A lane was updated; the engine is about to be told.
    Updated {
        lane: usize,
        variables: &'a [f64],
    },
    /// After each event of the engine.
    Books {
        ledger: Ledger,
        queued: u64,
    },
    /// A checkpoint is on disk.
    Saved {
        global_step: GlobalStep,
        variables: &'a [f64],
    },
    /// A replica was told what became of its push.
    Acknowledged {
        replica: ReplicaId,
        ticket: Ticket,
        sequence: u64,
        outcome: &'a Outcome,
    },
    /// A replica gives work up as it was told that it is in vain.
    Heeded {
        ticket: Ticket,
        grant: &'a Grant,
    },
}

/// Who made a contribution, and which of its own it is; never the same for two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Contributor {
    pub(super) generation: Generation,
    pub(super) replica: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) sequence: u64,
}

impl Contributor {
    pub(crate) fn of(push: &Push) -> Self {
        Self {
            generation: push.generation,
            replica: push.replica,
            incarnation: push.incarnation,
            sequence: push.sequence,
        }
    }
}

/// The gradient of a batch: a small whole number, so that sums are exact in any order.
pub(crate) fn gradient(batch: u64, variable: usize) -> f64 {
    let mixed = (batch ^ ((variable as u64) << 56)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 48) % 33) as f64 - 16.0
}
