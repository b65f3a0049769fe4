//! The engine carried out by threads and tasks of one process.
//!
//! Decides nothing: it takes the engine's effects and moves gradients, variables and wake-ups.
//! Lock order: the monitor's, the chief's, the core's, then what is due, the published snapshot or
//! the watch.

mod buffers;
mod cancellation;
mod chief;
mod core;
mod due;
mod error;
mod generations;
mod mailbox;
mod replica;
mod replica_log;
mod shared;
mod step;
mod step_tables;
mod stop_wish;
mod timekeeper;

pub use self::buffers::GradientBuffers;
pub use self::cancellation::{Cancellation, CancellationSource};
pub use self::error::PushError;
pub use self::replica::{Replica, WaitError};
pub use self::step::{Lent, OwnedStep, Step, StepOf};
pub use self::step_tables::StepTables;

pub(crate) use self::cancellation::Watch;
pub(crate) use self::chief::Chief;
pub(crate) use self::due::{Monitor, UpdateThread};
pub(crate) use self::generations::{BeginError, Begun};
pub(crate) use self::replica_log::ReplicaLog;
pub(crate) use self::shared::Shared;
pub(crate) use self::stop_wish::StopWish;

#[cfg(all(test, loom))]
mod interleavings;
