//! The engine of `sync-replicas` over gRPC: parameter server shards, a coordinator and replicas.
//!
//! The same rules as in one process: the coordinator runs the same
//! [`Engine`](sync_replicas::engine::Engine), shards hold the same accumulators and optimizers.

pub mod exit;
pub mod placement;
mod proto;
pub mod security;
pub mod shard;
pub mod spec;
