//! Tests of the crate as its users see it.

mod allocations;
#[cfg(feature = "test-util")]
mod any_program;
mod coordinator;
mod fenced;
mod finite;
#[cfg(feature = "test-util")]
mod fuzz;
mod generated;
mod leaving;
mod loopback;
#[cfg(feature = "test-util")]
mod malformed;
mod own_loop;
mod panics;
mod placement;
mod protocol;
mod raw;
mod security;
mod served;
mod shard_orders;
mod shard_runs;
mod shard_staging;
mod shard_states;
mod shard_tables;
mod strangers;
mod support;
mod tables;
mod training;
mod wire;
