//! What goes to replicas and shards, as plain data; the wire form is the `wire` module's.

use sync_replicas::ReplicaId;
use sync_replicas::driver::LocalStep;
use sync_replicas::engine::{Grant, Outcome, Overdue, Refused, StopReason};
use sync_replicas::record::{Failure, Span};

use super::{Contribution, ShardCommand, StepMade, Ticket, Times};
use crate::index::VariableIndex;

/// A contribution whose data is staged on every shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The replica's ticket.
    pub ticket: Ticket,
    /// The piece of work.
    pub sequence: u64,
    /// The step that the gradients claim.
    pub local_step: LocalStep,
    /// The variables with a gradient.
    pub variables: Vec<VariableIndex>,
    /// The loss, for hooks.
    pub loss: Option<f64>,
    /// How many examples the batch had.
    pub examples: u64,
    /// The receipts of all shards together: each bit is the parity of theirs.
    pub receipts: u64,
    /// How the work went.
    pub times: Times,
}

impl Commit {
    /// The contribution that it is about.
    #[must_use]
    pub fn contribution(&self, replica: ReplicaId) -> Contribution {
        Contribution { replica, incarnation: self.ticket.incarnation, sequence: self.sequence }
    }
}

/// To one replica.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It may compute.
    Granted {
        /// The piece of work.
        sequence: u64,
        /// The permission.
        grant: Grant,
    },
    /// What became of a contribution (P-7).
    Pushed {
        /// The piece of work.
        sequence: u64,
        /// Its fate.
        outcome: Outcome,
    },
    /// A piece of work was given up.
    GaveUp {
        /// Which one.
        sequence: u64,
    },
    /// Another replica was first with the share (P-13).
    Superseded {
        /// The piece of work that is superseded.
        sequence: u64,
    },
    /// The step took too long, and who is missing (P-5).
    Overdue(Overdue),
    /// It has left.
    Left,
    /// It may not; whether joining again can help.
    Refused(Refusal),
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The piece of work, zero for the connection as a whole.
    pub sequence: u64,
    /// In words.
    pub reason: String,
    /// Whether joining again can help.
    pub rejoin: bool,
}

impl Refusal {
    pub(super) fn of(refused: &Refused, sequence: u64) -> Self {
        let rejoin = matches!(refused, Refused::Generation { .. } | Refused::NotJoined { .. });
        Self { sequence, reason: refused.to_string(), rejoin }
    }
}

/// A piece of work that a replica will not finish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GiveUp {
    /// Which one.
    pub sequence: u64,
    /// The reason.
    pub why: GivenUp,
    /// How the work went.
    pub times: Times,
}

/// Why a replica will not finish a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// It was superseded in the middle of it, or its model gave it up (P-13).
    Begun,
    /// The step was over before it began.
    NotBegun,
    /// It was computed, and its gradients are infinite or NaN: the batch is left out (P-25).
    NotFinite,
}

/// What must be done, in order.
#[derive(Debug, Default)]
pub struct Actions {
    /// Commands to every shard.
    pub commands: Vec<ShardCommand>,
    /// Answers to replicas, each about the life of this ticket.
    pub answers: Vec<(ReplicaId, Ticket, Answer)>,
    /// Steps made: to tell followers, and replicas whose work is superseded.
    pub made: Vec<StepMade>,
    /// Replicas that work on a step before the last of these, to be told (P-13).
    pub in_vain: Vec<ReplicaId>,
    /// What replicas did, for the record.
    pub spans: Vec<Span>,
    /// Replicas that failed, for the record.
    pub failures: Vec<Failure>,
    /// Training ended, for this reason.
    pub ended: Option<StopReason>,
}

impl Actions {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
            && self.answers.is_empty()
            && self.made.is_empty()
            && self.spans.is_empty()
            && self.failures.is_empty()
            && self.ended.is_none()
    }
}
