//! The front door of a cluster: the same program as in one process, with `.on(&cluster)`.
//!
//! Every process of the cluster runs the same program; its place decides what it does.

mod agreement;
mod any_program;
mod from_env;
mod hooks;
mod memory;
mod options;
mod process_handle;
mod replica;
mod report;
mod serving;
pub(crate) mod status;
mod status_handle;

pub use agreement::Agreement;
pub use any_program::ServerFiles;
pub use options::Cluster;
pub use process_handle::ProcessHandle;
pub use replica::{ClusterPush, ClusterReplica, ClusterStep};
pub use report::{ClusterError, ClusterReport, Counts};
#[cfg(test)]
pub(crate) use serving::pass_on;
pub use status::{StatusError, record, save, status, stop};
pub use status_handle::StatusHandle;

use std::sync::Arc;
use std::time::Duration;

use optim::Optimizer;
use sync_replicas::driver::{Parts, ServerDuties};
use sync_replicas::store::TableSetupError;
use sync_replicas::{BatchSource, Hooks, Model, ReplicaId, Scalar, SyncReplicas, Variables};
use tokio::runtime::Runtime;

use crate::definition::{self, Definition};
use crate::placement::Placement;
use crate::spec::{Role, Task};
use crate::tensor::CHUNK;

/// The default lease on a cluster (P-5).
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
    pub fn build<T: Scalar + bytemuck::Pod>(
        self,
        variables: Variables<T>,
    ) -> Result<ClusterTrainer<'c, T, O>, ClusterError>
    where
        O: Optimizer<T> + 'static,
    {
        let mut parts = self.replicas.into_parts()?;
        if variables.layout().is_empty() {
            return Err(ClusterError::Build(sync_replicas::BuildError::NoVariables));
        }
        check_tables::<T, O>(&variables, &parts)?;
        let mut settings = parts.config.settings().clone();
        settings.lease = settings.lease.map(|_| parts.lease.unwrap_or(DEFAULT_LEASE));
        parts.config = settings.check().map_err(sync_replicas::BuildError::from)?;
        let replicas = self.cluster.place.num_replicas();
        let expected = parts.config.total_num_replicas() as u64;
        if expected != replicas {
            return Err(ClusterError::Replicas { expected, got: replicas });
        }
        let shapes = definition::shapes(&variables);
        let servers = self.cluster.place.cluster.ps.len();
        let placement = definition::placement::<T, _, _>(&shapes, parts.sparse_merge, servers);
        let placement = placement.with_tables(variables.tables());
        let definition = Definition::of::<T, O>(&parts, &placement, self.cluster.wire);
        let agreement = Agreement::of(&definition, self.cluster);
        let placement = Arc::new(placement);
        Ok(ClusterTrainer {
            parts,
            cluster: self.cluster,
            placement,
            agreement,
            variables,
            values_from_chief: false,
            duties: ServerDuties::default(),
        })
    }
}

/// One process of a cluster, ready to take part.
pub struct ClusterTrainer<'c, T: Scalar, O> {
    parts: Parts<O>,
    cluster: &'c Cluster,
    placement: Arc<Placement>,
    agreement: Agreement,
    variables: Variables<T>,
    /// Whether this process has no program: then it has shapes alone, and the chief has values.
    values_from_chief: bool,
    /// What hooks requested of the parameter servers.
    pub(crate) duties: ServerDuties,
}

impl<T: Scalar, O> std::fmt::Debug for ClusterTrainer<'_, T, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterTrainer").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl<T: Scalar + bytemuck::Pod, O: Optimizer<T> + 'static> ClusterTrainer<'_, T, O> {
    /// Takes part until training is over: a parameter server serves, a worker computes.
    ///
    /// `shard` makes a replica's source of batches. Hooks run in the chief; the end and the
    /// checkpoints that they ask for are parameter server 0's work, so that neither needs a live
    /// chief.
    ///
    /// # Errors
    /// [`ClusterError`]; its exit code says whether a restart can help.
    pub fn fit<M, S>(
        mut self,
        model: &M,
        shard: impl Fn(ReplicaId) -> S + Sync,
        hooks: Hooks<T>,
    ) -> Result<ClusterReport<T>, ClusterError>
    where
        M: Model<T>,
        S: BatchSource<Batch = M::Batch>,
    {
        match self.cluster.place.task.role {
            Role::Ps => self.run_server(hooks),
            Role::Chief | Role::Worker => {
                let (hooks, duties) = hooks.split();
                self.duties = duties;
                start_runtime(self.cluster.place.task)?.block_on(self.compute(model, shard, hooks))
            }
            Role::Evaluator => Err(ClusterError::Evaluator),
        }
    }

    /// Serves as a parameter server until training is over: what [`fit`](Self::fit) does in one,
    /// for a program with its own loop ([`replica`](Self::replica)).
    ///
    /// # Errors
    /// As [`fit`](Self::fit), and [`ClusterError::NoServer`] in any other process.
    ///
    /// # Panics
    /// In a task of a runtime, which must not block.
    pub fn run_server(mut self, hooks: Hooks<T>) -> Result<ClusterReport<T>, ClusterError> {
        let task = self.cluster.place.task;
        if task.role != Role::Ps {
            return Err(ClusterError::NoServer { task });
        }
        (_, self.duties) = hooks.split();
        start_runtime(task)?.block_on(self.serve())
    }
}

/// Whether the tables can be trained, and a row fits into a message (P-17).
fn check_tables<T: Scalar, O: Optimizer<T> + 'static>(
    variables: &Variables<T>,
    parts: &Parts<O>,
) -> Result<(), ClusterError> {
    let admission = parts.config.settings().admission;
    let refused = TableSetupError::check(variables.tables(), admission);
    refused.map_err(sync_replicas::BuildError::from)?;
    for table in variables.tables() {
        let served = optim::check_table::<T>(&parts.optimizer, table.name());
        let served = served.map_err(TableSetupError::from);
        served.map_err(sync_replicas::BuildError::from)?;
        let (got, most) = (table.width() * size_of::<T>(), CHUNK);
        if got > most {
            let table = table.name().to_owned();
            return Err(ClusterError::WideRows { table, got, most });
        }
    }
    Ok(())
}

/// The threads of a process of the cluster.
fn start_runtime(task: Task) -> Result<Runtime, ClusterError> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = match task.role {
        // All replicas are read and written side by side.
        Role::Ps => cores.max(2),
        _ => 2,
    };
    #[cfg(all(unix, feature = "crash-points"))]
    crate::crash::enter(task);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(ClusterError::Runtime)?;
    memory::keep_freed();
    Ok(runtime)
}
