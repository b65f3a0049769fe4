//! The engine carried out by threads and tasks of one process.
//!
//! Decides nothing: it takes the engine's effects and moves gradients, variables and wake-ups.
//! Lock order: the monitor's, the chief's, the core's, then what is due, the published snapshot or
//! the watch.

mod buffers;
mod chief;
mod closer;
mod core;
mod desk;
mod failure;
mod generations;
mod incoming;
mod not_finite;
mod pattern;
mod replica;
mod retired;
mod shared;
mod snapshot;
mod span;
mod step;
mod stop_wish;
mod sums;
mod superseded;
mod timekeeper;
mod update_error;

pub use self::buffers::GradientBuffers;
pub use self::core::Totals;
pub use self::incoming::PushError;
pub use self::not_finite::{Cause, NotFinite, not_finite_in};
pub use self::replica::{Replica, WaitError};
pub use self::snapshot::Snapshot;
pub use self::span::{Span, SpanKind};
pub use self::step::Step;
pub use self::sums::{Averaged, Kind};
pub use self::superseded::{Superseded, SupersededSignal};
pub use self::update_error::{Torn, UpdateError};

pub(crate) use self::chief::Chief;
pub(crate) use self::closer::{Closer, Monitor};
pub(crate) use self::core::Rules;
pub(crate) use self::failure::{describe, describe_panic};
pub(crate) use self::generations::BeginError;
pub(crate) use self::shared::Shared;
pub(crate) use self::span::ReplicaLog;
pub(crate) use self::stop_wish::StopWish;
pub(crate) use self::superseded::Watch;

#[cfg(all(test, loom))]
mod interleavings;
