//! A process that serves: a parameter server, and in number 0 the leader, in the others what obeys
//! it.
//!
//! Which part knows which, downwards: `serve` and `service` the process; that its
//! `replica_stream`s, the leader and the follower; these two the parameter server, and the leader
//! its links to others; a parameter server the shard and its connections. No lock is held across an
//! await.

mod bad_message;
mod command_error;
mod counters;
mod follower;
mod handshake;
mod leader;
mod link;
#[cfg(feature = "test-util")]
pub(crate) mod offline;
mod parameter_server;
mod process;
mod replica_stream;
mod serve;
mod serve_error;
mod service;
mod settings;
mod status;
mod transfer;
mod transport;
mod undefined;
mod usage;

pub use process::Server;
pub use serve::{Listener, serve, serve_with_incoming};
pub use serve_error::ServeError;
pub use settings::ServerSettings;
pub use status::{ServerPresence, ServerStatus};
pub use transport::TransportSettings;
pub(crate) use undefined::{Program, Undefined};
pub use usage::Usage;
