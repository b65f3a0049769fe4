//! The engine carried out by threads and tasks of one process.
//!
//! Decides nothing: it takes the engine's effects and moves gradients, variables and wake-ups.
//! Lock order: the monitor's, the chief's, the core's, then what is due, the published snapshot or
//! the watch.

mod buffers;
mod chief;
mod due;
mod error;
mod replica;
mod shared;
mod wake;

pub use self::buffers::GradientBuffers;
pub use self::error::PushError;
pub use self::replica::cancellation::{Cancellation, CancellationSource};
pub use self::replica::step::{Lent, OwnedStep, Step, StepOf};
pub use self::replica::step_tables::StepTables;
pub use self::replica::work::Work;
pub use self::replica::{Replica, WaitError};

pub(crate) use self::chief::Chief;
pub(crate) use self::due::{Monitor, UpdateThread};
pub(crate) use self::replica::cancellation::Watch;
pub(crate) use self::replica::log::ReplicaLog;
pub(crate) use self::shared::Shared;
pub(crate) use self::shared::generations::{BeginError, Begun};
pub(crate) use self::shared::stop_request::StopRequest;

#[cfg(all(test, loom))]
mod interleavings;
