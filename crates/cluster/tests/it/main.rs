//! Tests of the crate as its users see it.

mod coordinator;
mod loopback;
mod placement;
mod security;
mod shard_runs;
mod shard_staging;
mod shard_states;
mod support;
mod training;
