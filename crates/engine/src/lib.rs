//! The engine: who is admitted, when a step closes, which tokens go out, whose lease ran out.
//!
//! One state machine without clock, lock, thread or gradient. It takes events (the time is handed
//! in) and answers with [`Effect`]s, which the caller carries out: threads in one process, a
//! network in a cluster, a virtual clock in a simulation. The staleness rule is accum-core's
//! [`Gate`](accum_core::Gate), the token order token-queue's [`Tokens`](token_queue::Tokens);
//! none of their rules is repeated here.
//!
//! A step's way: [`Engine::push`] admits contributions until A are there and answers
//! [`Effect::Close`]; the caller takes the gradients, updates the variables and reports
//! [`Engine::applied`]; only then the global step moves, and only then tokens go out.

mod machine;

mod admission;
mod batches;
mod clock;
mod config;
mod effect;
mod failure_counts;
mod ids;
mod lane;
mod ledger;
mod loans;
mod members;
mod shares;
mod skip;
mod tokens;
mod validate;
mod view;

#[cfg(feature = "test-util")]
pub mod test_util;

pub use batches::{INEXACT_POSITIONS, Positions};
pub use config::{
    Admission, Config, ConfigError, FailingBatch, InitialTokens, Membership, NonFinite, Settings,
    StartError, StepTimeout, SummationOrder, TokenPolicy,
};
pub use effect::{
    Decision, Effect, Expiry, Grant, JoinError, Outcome, Overdue, Push, Refused, StopReason,
};
pub use failure_counts::FailureCounts;
pub use ids::{Generation, Incarnation, ReplicaId};
pub use ledger::TokenLedger;
pub use machine::Engine;
pub use members::Tally;

#[cfg(test)]
mod tests;

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
