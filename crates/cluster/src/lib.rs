//! The engine over gRPC: parameter server shards, a coordinator and replicas.
//!
//! The same rules as in one process: the coordinator runs the same
//! [`Engine`](sync_replicas::engine::Engine), shards hold the same accumulators and optimizers.
//! [`OnCluster`] is the front door; [`server`] and [`client`] are its two sides.

#[macro_use]
mod crash;

mod batches;
pub mod client;
pub mod coordinator;
mod definition;
pub mod exit;
mod front;
pub mod index;
pub mod place;
pub mod placement;
mod proto;
pub mod security;
pub mod server;
pub mod shard;
#[cfg(test)]
mod simulated;
mod socket;
pub mod spec;
mod stream;
mod sync;
mod tensor;
#[cfg(feature = "test-util")]
pub mod test_util;
mod wire;

pub use front::{
    Agreement, Cluster, ClusterError, ClusterPush, ClusterReplica, ClusterReport, ClusterStep,
    ClusterTrainer, Clustered, Counts, DEFAULT_LEASE, OnCluster, ServerFiles, StatusError,
    StatusHandle, StopHandle, save, status, stop,
};
pub use shard::Wire;

/// Keeps the programs of the crate's and the project's pages compiling, and running where they can.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/own-model.md")]
    struct OwnModel;
}
