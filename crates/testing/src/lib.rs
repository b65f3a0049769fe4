//! Machinery that the tests of several crates share.
//!
//! It knows no rule of what it drives. For integration tests only: a crate's unit tests would see
//! their own types twice, once as built here.

mod corpus;
#[cfg(feature = "manual-replicas")]
mod manual_replicas;

pub use corpus::replay_corpus;
#[cfg(feature = "manual-replicas")]
pub use manual_replicas::{ManualReplicas, ManualReplicasError};

/// The README's example, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
