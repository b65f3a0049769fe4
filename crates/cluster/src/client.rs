//! A replica's side: connections to all servers, the variables' copy, tokens, pushes.
//!
//! It never decides that a contribution was lost: it repeats it with the same number until the
//! coordinator has spoken (P-15), or until it is no longer a member.

mod connection;
mod connector;
mod encoded_contribution;
mod local_variables;
pub mod protocol;
mod replica;
mod row_lookup;
mod settings;
mod shared_variables;
mod signals;
mod state;
mod wire;

#[cfg(feature = "test-util")]
pub(crate) use connection::{ConnectionEvent, Sinks, read};
#[cfg(test)]
pub(crate) use connector::endpoint;
pub(crate) use connector::{CallError, FRAME, WINDOW};
pub use connector::{Connector, Dial, DialError, DialFuture, Resolve, ResolveFuture};
pub use protocol::{Departure, PushError, WaitError};
pub use replica::{LookupError, Pushed, ReplicaClient, WorkTimes};
pub use settings::ReplicaSettings;
#[cfg(feature = "test-util")]
pub(crate) use state::ReplicaState;
pub use sync_replicas::error::GradientError;

/// The replica whose program gives the variables their initial values, where servers have none.
pub(crate) const CHIEF: sync_replicas::ReplicaId = sync_replicas::ReplicaId::new(0);
