//! The engine: what is admitted, when a step closes, which tokens go out, whose lease ran out.
//!
//! One state machine without clock, lock, thread or gradient. It takes events (the time is handed
//! in) and answers with [`Effect`]s, which the caller carries out: threads in one process, a
//! network in a cluster, a virtual clock in a simulation. The staleness rule is accum-core's
//! [`Gate`](accum_core::Gate), the token order token-queue's [`Tokens`](token_queue::Tokens);
//! none of their rules is repeated here.
//!
//! A step's way: [`Engine::push`] admits contributions until A are there and answers
//! [`Effect::Close`]; the caller takes the gradients, updates the variables and reports
//! [`Engine::applied`]; only then the global step moves, and only then tokens go out (R-21).
//!
//! # Examples
//! A step takes the first gradient of two replicas:
//! ```
//! use std::time::Duration;
//!
//! use engine::{Effect, Engine, Generation, Push, ReplicaId, Settings};
//!
//! let settings = Settings { total_num_replicas: Some(2), ..Settings::new(1) };
//! let mut engine = Engine::new(settings.clone().check()?, 1, 0.into(), Generation::default());
//! let (now, mut effects) = (Duration::ZERO, Vec::new());
//! engine.start_chief(settings.initial_tokens, now, &mut effects)?;
//!
//! let replica = ReplicaId::new(0);
//! let incarnation = engine.join(replica, now, &mut effects)?;
//! let local_step = engine.local_step(replica).expect("it has joined");
//! let generation = engine.generation();
//! let push = Push { replica, incarnation, generation, sequence: 1, local_step, lanes: None };
//! let decision = engine.push(&push, now, &mut effects)?;
//! assert!(decision.outcome.is_accepted());
//! assert!(effects.contains(&Effect::Close { lane: 0, count: 1 })); // the caller updates
//!
//! engine.applied(0, now, &mut effects); // and says so; only now the step moves
//! assert_eq!(engine.global_step().get(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to tell it
//!
//! | what happened | call |
//! |---|---|
//! | the chief is there, with the first tokens | [`Engine::start_chief`] |
//! | a replica comes, or goes | [`Engine::join`], [`Engine::leave`] |
//! | it wants a token; it gives one up | [`Engine::request`], [`Engine::decline`] |
//! | it pushes | [`Engine::push`] |
//! | an update was made | [`Engine::applied`] |
//! | it gives a sign of life | [`Engine::renew`] |
//! | time has passed | [`Engine::tick`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod machine;

mod admission;
mod batches;
mod clock;
mod closing;
mod config;
mod effect;
mod expiry;
mod failure_counts;
mod ids;
mod lane;
mod leases;
mod ledger;
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
