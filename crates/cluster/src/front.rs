//! The front door of a cluster: the same program as in one process, with `.on(&cluster)`.
//!
//! Every process of the cluster runs the same program; its place decides what it does.

mod any_program;
mod cluster;
mod from_env;
mod hooks;
mod life;
mod process_handle;
mod replica;
mod report;
mod runtime;
mod serving;
pub(crate) mod status;
mod status_handle;
mod trainer;

pub use any_program::ServerFiles;
pub use cluster::Cluster;
pub use process_handle::ProcessHandle;
pub use replica::{ClusterPush, ClusterReplica, ClusterStep};
pub use report::{ClusterError, ClusterReport, Counts};
#[cfg(test)]
pub(crate) use serving::pass_on;
pub use status::{StatusError, record, save, status, stop};
pub use status_handle::StatusHandle;
pub use trainer::ClusterTrainer;

use std::time::Duration;

use optim::Optimizer;
use sync_replicas::{Scalar, SyncReplicas, Variables};

/// The default lease on a cluster.
// P-5
pub const DEFAULT_LEASE: Duration = Duration::from_secs(5);

/// A description of a training, run by a cluster instead of threads.
///
/// # Examples
/// ```no_run
/// # use sync_replicas::{BoxError, Computed, Gradients, Model, Work};
/// # struct Line;
/// # impl Model<f32> for Line {
/// #     type Batch = (f32, f32);
/// #     fn gradients(&self, variables: &Variables<f32>, &(x, y): &(f32, f32), _: &Work<'_, f32>)
/// #         -> Result<Option<Computed<f32>>, BoxError>
/// #     {
/// #         let error = variables.vector("slope")?[0] * x - y;
/// #         let gradients = Gradients::new().dense("slope", ndarray::array![2.0 * error * x]);
/// #         Ok(Some(Computed { loss: f64::from(error * error), examples: 1, gradients }))
/// #     }
/// # }
/// use cluster::{Cluster, OnCluster};
/// use optim::Sgd;
/// use sync_replicas::{Hooks, SyncReplicas, Variables};
///
/// // TF_CONFIG or Slurm's variables say which process of which cluster this is.
/// let cluster = Cluster::from_env(1)?.expect("it runs in a cluster");
/// let report = SyncReplicas::new(Sgd::new(0.1))
///     .replicas_to_aggregate(2)
///     .total_num_replicas(3)
///     .on(&cluster)
///     .build(Variables::new().with("slope", ndarray::array![0.0])?)?
///     .fit(&Line, |_| [(1.0, 3.0)].into_iter().cycle(), Hooks::new().stop_at_step(100))?;
/// println!("{} updates", report.global_step);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait OnCluster<O> {
    /// Runs it as this process's part of a cluster.
    fn on(self, cluster: &Cluster) -> Clustered<'_, O>;
}

impl<O> OnCluster<O> for SyncReplicas<O> {
    fn on(self, cluster: &Cluster) -> Clustered<'_, O> {
        Clustered { replicas: self, cluster }
    }
}

/// A description and a place in a cluster.
#[derive(Debug)]
pub struct Clustered<'c, O> {
    replicas: SyncReplicas<O>,
    cluster: &'c Cluster,
}

impl<'c, O> Clustered<'c, O> {
    /// Checks everything that can be checked without the others.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn build<T: Scalar>(
        self,
        variables: Variables<T>,
    ) -> Result<ClusterTrainer<'c, T, O>, ClusterError>
    where
        O: Optimizer<T> + 'static,
    {
        ClusterTrainer::new(self.replicas, self.cluster, variables)
    }
}
