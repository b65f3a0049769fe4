//! The same training past one machine: parameter servers, a coordinator and replicas over gRPC.
//!
//! Every process of a cluster runs the same program, and its place decides what it does; or the
//! parameter servers are `sync-replicas node --role ps`, which learn from the first worker what is
//! trained. The rules are those of one process: the coordinator runs the same
//! [`Engine`](sync_replicas::engine::Engine), and servers hold the same accumulators and
//! optimizers.
//!
//! # Examples
//! A whole program. `sync-replicas launch -- PROGRAM` starts its workers on one machine:
//! ```no_run
//! use cluster::{Cluster, OnCluster};
//! use ndarray::array;
//! use optim::Sgd;
//! use sync_replicas::{
//!     BoxError, Computed, Gradients, Hooks, Model, SyncReplicas, Variables, Work,
//! };
//!
//! struct Slope;
//!
//! impl Model<f32> for Slope {
//!     type Batch = (f32, f32);
//!
//!     fn gradients(
//!         &self,
//!         variables: &Variables<f32>,
//!         &(x, y): &(f32, f32),
//!         _work: &Work<'_, f32>,
//!     ) -> Result<Option<Computed<f32>>, BoxError> {
//!         let error = variables.vector("slope")?[0] * x - y;
//!         let gradients = Gradients::new().dense("slope", array![2.0 * error * x]);
//!         Ok(Some(Computed { loss: f64::from(error * error), examples: 1, gradients }))
//!     }
//! }
//!
//! let cluster = Cluster::from_env(1)?.ok_or("expected TF_CONFIG, or a job of Slurm")?;
//! let report = SyncReplicas::new(Sgd::new(0.1))
//!     .replicas_to_aggregate(cluster.replicas_to_aggregate())
//!     .total_num_replicas(cluster.total_num_replicas())
//!     .on(&cluster)
//!     .build(Variables::new().with("slope", array![0.0])?)?
//!     .fit(&Slope, |_| [(1.0, 3.0)].into_iter().cycle(), Hooks::new().stop_at_step(100))?;
//! println!("{}: {} updates", report.task, report.global_step);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | this process's place | [`Cluster::from_env`], or [`Cluster::new`] with a [`spec::Node`] |
//! | the same program as in one process | [`OnCluster::on`], [`ClusterTrainer::fit`] |
//! | your own loop in a worker | [`ClusterTrainer::replica`], [`ClusterStep::push`] |
//! | a parameter server without a program | [`Cluster::serve`] |
//! | servers that move, as those of an engine do | [`Cluster::resolve_with`] |
//! | which callers may come in | [`Cluster::key`], [`Cluster::tls`], [`security`] |
//! | half the bytes on the network | [`Cluster::wire`] with [`NumberFormat::Bf16`] |
//! | an end, or a checkpoint, from elsewhere | [`Cluster::process_handle`]; [`stop`], [`save`] |
//! | its status, and what has happened | [`status`], [`record()`], [`Cluster::status_handle`] |
//! | what to tell a scheduler | [`ClusterError::exit`], [`exit::Exit`] |
//!
//! [`driver`] has the parts for those who carry them out by hand, as the project's simulations,
//! tests and benches do; it changes from version to version.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod crash;

mod agreement;
mod batches;
mod blocking;
mod call_status;
mod client;
mod command;
mod coordinator;
mod definition;
pub mod driver;
pub mod exit;
mod front;
mod index;
mod memory;
mod number_format;
mod place;
mod placement;
mod proto;
pub mod security;
mod server;
mod shard;
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

pub use agreement::Agreement;
pub use client::{Connector, PushError, Resolve, ResolveFuture, WaitError};
pub use coordinator::{ReplicaStatus, Status as CoordinatorStatus};
pub use definition::DefinitionError;
pub use front::{
    Cluster, ClusterError, ClusterPush, ClusterReplica, ClusterReport, ClusterStep, ClusterTrainer,
    Clustered, Counts, DEFAULT_LEASE, OnCluster, ProcessHandle, ServerFiles, StatusError,
    StatusHandle, record, save, status, stop,
};
pub use number_format::NumberFormat;
pub use server::{ServeError, ServerPresence, ServerStatus, Usage};
pub use wire::Recorded;

/// Keeps the programs of the crate's and the project's pages compiling, and running where they can.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/own-model.md")]
    struct OwnModel;
}
