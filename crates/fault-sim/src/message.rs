//! What replicas and the server say to each other.
//!
//! Plain data. Every request can come twice, late or never: whatever it asks for is named by
//! generation, incarnation and sequence number, so that a repetition is known as one (P-9, P-15).

use accum_core::GlobalStep;
use engine::{Generation, Incarnation};
use engine::{Grant, Outcome, Push, Refused};

/// What a replica got when it joined, and shows with every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    pub(super) generation: Generation,
    pub(super) incarnation: Incarnation,
}

/// From a replica to the server.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// `connection` is higher at each attempt of the same replica, also after it died.
    Join {
        connection: u64,
    },
    /// Give me the token for piece of work number `sequence`.
    Ask {
        ticket: Ticket,
        sequence: u64,
    },
    /// The result of a piece of work: one number for each variable.
    Push {
        push: Push,
        gradient: Vec<f64>,
    },
    /// I shall not finish it; `begun` says whether I had begun.
    GiveUp {
        ticket: Ticket,
        sequence: u64,
        begun: bool,
    },
    /// A sign of life.
    Alive {
        ticket: Ticket,
    },
    Leave {
        ticket: Ticket,
    },
    /// From whoever watches the replica: its connection is gone.
    Dead {
        ticket: Ticket,
    },
}

/// From the server to a replica.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Joined {
        connection: u64,
        ticket: Ticket,
        global_step: GlobalStep,
    },
    Granted {
        ticket: Ticket,
        sequence: u64,
        grant: Grant,
    },
    Pushed {
        ticket: Ticket,
        sequence: u64,
        outcome: Outcome,
    },
    GaveUp {
        ticket: Ticket,
        sequence: u64,
    },
    Left {
        ticket: Ticket,
    },
    /// Another was first with your share (P-13).
    Superseded {
        ticket: Ticket,
        sequence: u64,
    },
    /// The step moved: whoever works on an earlier one does so in vain (P-13).
    Advanced {
        generation: Generation,
        global_step: GlobalStep,
    },
    /// The wait failed, ask again (P-5).
    Overdue {
        ticket: Ticket,
    },
    Refused {
        ticket: Ticket,
        refused: Refused,
    },
    /// Training is over (P-1, P-2).
    Ended,
}
