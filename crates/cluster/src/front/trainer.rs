//! The trainer of one process of a cluster: what is trained, and this process's part in it.

use std::sync::Arc;

use optim::Optimizer;
use sync_replicas::driver::{Parts, ServerDuties};
use sync_replicas::store::TableSetupError;
use sync_replicas::{BatchSource, Hooks, Model, ReplicaId, Scalar, SyncReplicas, Variables};

use super::runtime::start_runtime;
use super::{Cluster, ClusterError, ClusterReport, DEFAULT_LEASE};
use crate::Agreement;
use crate::definition::{self, Definition};
use crate::placement::Placement;
use crate::spec::Role;
use crate::tensor::CHUNK;

/// One process of a cluster, ready to take part.
pub struct ClusterTrainer<'c, T: Scalar, O> {
    pub(super) parts: Parts<O>,
    pub(super) cluster: &'c Cluster,
    pub(super) placement: Arc<Placement>,
    pub(super) agreement: Agreement,
    pub(super) variables: Variables<T>,
    /// Whether this process has no program: then it has shapes alone, and the chief has values.
    pub(super) values_from_chief: bool,
    /// What hooks requested of the parameter servers.
    pub(crate) duties: ServerDuties,
}

impl<T: Scalar, O> std::fmt::Debug for ClusterTrainer<'_, T, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterTrainer").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl<'c, T: Scalar, O: Optimizer<T> + 'static> ClusterTrainer<'c, T, O> {
    /// Checks everything that can be checked without the others.
    pub(super) fn new(
        replicas: SyncReplicas<O>,
        cluster: &'c Cluster,
        variables: Variables<T>,
    ) -> Result<Self, ClusterError> {
        let mut parts = replicas.into_parts()?;
        if variables.layout().is_empty() {
            return Err(ClusterError::Build(sync_replicas::error::BuildError::NoVariables));
        }
        check_tables::<T, O>(&variables, &parts)?;
        let mut settings = parts.config.settings().clone();
        settings.lease = settings.lease.map(|_| parts.lease.unwrap_or(DEFAULT_LEASE));
        parts.config = settings.check().map_err(sync_replicas::error::BuildError::from)?;
        let replicas = cluster.place.num_replicas();
        let expected = parts.config.total_num_replicas() as u64;
        if expected != replicas {
            return Err(ClusterError::Replicas { expected, got: replicas });
        }
        let shapes = definition::shapes(&variables);
        let servers = cluster.place.cluster.ps.len();
        let placement = definition::placement::<T, _, _>(&shapes, parts.sparse_merge, servers);
        let placement = placement.with_tables(variables.tables());
        let definition = Definition::of::<T, O>(&parts, &placement, cluster.wire);
        let agreement = Agreement::of(&cluster.agreed, &definition);
        let placement = Arc::new(placement);
        let (values_from_chief, duties) = (false, ServerDuties::default());
        Ok(Self { parts, cluster, placement, agreement, variables, values_from_chief, duties })
    }

    /// Takes part until training is over: a parameter server serves, a worker computes.
    ///
    /// `data` makes a replica's source of batches. Hooks run in the chief; the end and the
    /// checkpoints that they ask for are parameter server 0's work, so that neither needs a live
    /// chief.
    ///
    /// # Errors
    /// [`ClusterError`]; its exit code says whether a restart can help.
    pub fn fit<M, S>(
        mut self,
        model: &M,
        data: impl Fn(ReplicaId) -> S + Sync,
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
                start_runtime(self.cluster.place.task)?.block_on(self.compute(model, data, hooks))
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

/// Whether the tables can be trained, and a row fits into a message.
// P-17
fn check_tables<T: Scalar, O: Optimizer<T> + 'static>(
    variables: &Variables<T>,
    parts: &Parts<O>,
) -> Result<(), ClusterError> {
    let admission = parts.config.settings().admission;
    let refused = TableSetupError::check(variables.tables(), admission);
    refused.map_err(sync_replicas::error::BuildError::from)?;
    for table in variables.tables() {
        let served = optim::check_table::<T>(&parts.optimizer, table.name());
        let served = served.map_err(TableSetupError::from);
        served.map_err(sync_replicas::error::BuildError::from)?;
        let (got, most) = (table.width() * size_of::<T>(), CHUNK);
        if got > most {
            let table = table.name().to_owned();
            return Err(ClusterError::WideRows { table, got, most });
        }
    }
    Ok(())
}
