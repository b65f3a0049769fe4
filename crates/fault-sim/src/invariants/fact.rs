//! What the invariants see: everything that coordinator, shards and replicas did and were answered,
//! in its order.
//!
//! Where each variable is admitted for itself, a lane is called by its variable.

use accum_core::GlobalStep;
use cluster::driver::client::protocol::Version;
use cluster::driver::coordinator::{Answer, Ticket};
use engine::{
    Decision, Effect, Generation, Grant, Incarnation, Outcome, Push, Refused, ReplicaId,
    TokenLedger,
};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fact<'a> {
    /// All servers are in a generation: the first, or one restored.
    Serves {
        generation: Generation,
        global_step: GlobalStep,
        variables: &'a [f64],
    },
    /// A server was lost, which ends the generation.
    GivenUp,
    /// The chief starts, and puts the initial tokens.
    ChiefStarts {
        tokens: u64,
    },
    /// A process of a replica is let in, over this connection of it.
    Welcomed {
        replica: ReplicaId,
        process: u64,
        connection: u64,
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
    /// The variables that have a lane from now on.
    Lanes {
        variables: &'a [usize],
    },
    /// The engine decided on a push; its effects follow.
    Decided {
        push: &'a Push,
        /// The lanes that it has a gradient for, and those that took it.
        named: &'a [usize],
        took: &'a [usize],
        gradient: &'a [f64],
        decision: &'a Result<Decision, Refused>,
    },
    Effect(&'a Effect),
    /// A message to a replica, in the name of a life.
    Answered {
        replica: ReplicaId,
        ticket: Ticket,
        answer: &'a Answer,
    },
    /// A server took its gradients of a lane, and updated its variables; the contributors, for each
    /// of its parts.
    Took {
        server: usize,
        lane: usize,
        contributors: &'a [Vec<Contributor>],
    },
    /// A server shows variables of a step to replicas: its elements with their values.
    Published {
        server: usize,
        generation: Generation,
        global_step: GlobalStep,
        elements: &'a [(usize, f64)],
    },
    /// All servers have made an update; the step moves.
    Updated {
        variables: &'a [f64],
    },
    /// After what the engine was told.
    Books {
        ledger: TokenLedger,
        queued: u64,
    },
    /// A checkpoint is on disk.
    Saved {
        global_step: GlobalStep,
        variables: &'a [f64],
    },
    /// A replica begins a piece of work, from its copy of the servers' variables.
    Computes {
        grant: &'a Grant,
        versions: &'a [Version],
        elements: &'a [(usize, f64)],
    },
    /// A replica was told what became of its push.
    Acknowledged {
        by: Contributor,
        outcome: &'a Outcome,
    },
    /// A replica gives up its work because it was told that the work is superseded.
    Heeded {
        ticket: Ticket,
        grant: &'a Grant,
    },
}

/// The maker of a contribution, and its number among the maker's own; never the same for two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Contributor {
    pub(crate) generation: Generation,
    pub(crate) replica: ReplicaId,
    pub(crate) incarnation: Incarnation,
    pub(crate) sequence: u64,
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
pub(crate) fn gradient(batch: u64, element: usize) -> f64 {
    let mixed = (batch ^ ((element as u64) << 56)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 48) % 33) as f64 - 16.0
}
