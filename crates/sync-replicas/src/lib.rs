//! Synchronous data-parallel training in which slow and dead replicas never hold a step.
//!
//! A step averages the first A fresh gradients of N replicas, drops the late ones, and lets the
//! replicas go on with tokens. [`SyncReplicas`] is the front door; [`Trainer::fit`] trains, and
//! [`Trainer::replica`] is for loops of one's own; [`explicit`] mirrors the described system part
//! by part. The decisions are all made by one state machine, [`engine::Engine`].
//!
//! # Examples
//! See [`Trainer::fit`] for a whole program in twenty lines.

mod builder;
mod cores;
mod fit;
mod gradients;
mod hook_host;
mod hook_list;
mod model;
mod record;
mod report;
mod scalar;
mod trainer;
mod variables;

pub mod checkpoint;
pub mod explicit;
mod runtime;
pub mod store;

mod sync;

pub use accum_core::SparseMerge;
pub use accum_core::{GlobalStep, IndexedSlices, LocalStep, SparseMean};
pub use builder::{BuildError, Parts, SyncReplicas};
pub use checkpoint::CheckpointError;
pub use cores::on_all_cores;
pub use engine;
#[cfg(feature = "test-util")]
pub use engine::test_util;
pub use engine::{FailingBatch, InitialTokens, NonFinite, Order, Outcome, TokenPolicy};
pub use engine::{Generation, Incarnation, ReplicaId};
pub use fit::FitError;
pub use gradients::{Gradient, Gradients};
pub use hook_host::{BoxedHooks, ChiefSession, HookHost, TrainingView};
pub use hook_list::{Checkpoints, Hooks, Wishes};
pub use model::{BoxError, Computed, Model, Shard, Work};
pub use record::{Cursor, FailedSave, News, Record, UpdateMade};
pub use report::{ReplicaOutcome, ReplicaReport, Report};
pub use runtime::{
    Cancellation, CancellationSource, GradientBuffers, PushError, Replica, Span, SpanKind, Step,
    WaitError, describe,
};
pub use scalar::Scalar;
pub use store::{Cause, GradientError, Kind, NotFinite, Snapshot, Torn, Totals, UpdateError};
pub use trainer::{SaveHandle, StopHandle, Trainer};
pub use variables::{VariableError, Variables};

/// Keeps the programs of the project's pages compiling and running.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct OwnReadme;

    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/guide.md")]
    struct Guide;

    #[doc = include_str!("../../../docs/migrating.md")]
    struct Migrating;
}
