//! A parameter server: its shard, the replicas that are connected, and on the first one the
//! coordinator with its links to the others.
//!
//! Lock order: the hub's, the shard's, the replicas'. No lock is held across an await.

mod ending;
mod failure;
mod heard;
mod hub;
mod leaving;
mod link;
mod link_serve;
mod node;
#[cfg(feature = "test-util")]
pub(crate) mod offline;
mod posts;
mod receive;
mod recovery;
mod room;
mod saving;
mod serve;
mod service;
mod status;
mod train;
mod transport;

#[cfg(all(unix, feature = "crash-points"))]
pub(crate) use saving::blocking;

pub use node::{Node, NodeSettings};
pub use serve::{ServeError, serve, serve_with_incoming};
pub use status::ServerStatus;
pub use transport::ServeSettings;
