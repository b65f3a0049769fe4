//! This process's place in a cluster, and what follows from it: a replica's part, or a server's.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::security::SharedKey;
use cluster::spec::{Node, Role, SpecError};
use cluster::{
    Cluster, ClusterError, ClusterReplica, NumberFormat, OnCluster, Resolve, ServerFiles,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::checkpoint::{Checkpoints, RunId, newest_run};
use sync_replicas::{Hooks, Variables};

use crate::cause::Cause;
use crate::cluster_replica::ClusterReplicaImpl;
use crate::errors;
use crate::fork_guard::ForkGuard;
use crate::hook::{self, Named};
use crate::initial::Initial;
use crate::number::Number;
use crate::optimizers::optimizer;
use crate::replica::{Replica, ReplicaImpl};
use crate::report::cluster_report;
use crate::trainer::{Settings, chosen, describe};
use crate::variable_cache::VariableCache;
use crate::wait::beside;

/// Which process of which cluster this one is, as its environment says.
#[pyclass(frozen, module = "sync_replicas._native")]
pub(crate) struct Place(ForkGuard<Cluster>);

/// What a replica of a cluster is told beside variables, optimizer and the trainer's settings.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct JoinOptions {
    wire: String,
    agree: Vec<(String, String)>,
    steps: Option<i64>,
    hooks: Vec<Named>,
}

impl Place {
    /// Warnings go to standard error, where schedulers and launchers look.
    fn of(cluster: Cluster) -> PyResult<Self> {
        cli::program::log_to_stderr();
        ForkGuard::with_threads(|| Ok(cluster)).map(Self)
    }
}

#[pymethods]
impl Place {
    /// The place that `TF_CONFIG` or Slurm's variables name, of which the first `ps` processes are
    /// parameter servers in Slurm's case; None without any.
    #[staticmethod]
    fn _from_env(ps: u64) -> PyResult<Option<Self>> {
        let found = Cluster::from_env(ps)
            .map_err(|error: SpecError| errors::cluster(&ClusterError::Spec(error), None))?;
        found.map(Self::of).transpose()
    }

    /// The place that an engine gives: in the words of `TF_CONFIG`, where servers have names whose
    /// addresses `resolve` returns, anew at every connection. A server listens at a free port of
    /// `listen` at once; also returns that address.
    #[staticmethod]
    fn _given(
        config: &str,
        key: &[u8],
        resolve: Py<PyAny>,
        listen: Option<IpAddr>,
        patience: Duration,
    ) -> PyResult<(Self, Option<String>)> {
        let failed = |error: ClusterError| errors::cluster(&error, None);
        let node = Node::from_tf_config(config).map_err(|error| failed(error.into()))?;
        let key = SharedKey::new(key).ok_or_else(|| errors::argument("key: it is too short"))?;
        let cluster = Cluster::new(node).key(key).reconnect_timeout(patience);
        let cluster = cluster.resolve_with(asking(resolve));
        let Some(listen) = listen else { return Ok((Self::of(cluster)?, None)) };
        let (cluster, address) = cluster.bind((listen, 0).into()).map_err(failed)?;
        Ok((Self::of(cluster)?, Some(address.to_string())))
    }

    /// "worker 1".
    #[getter]
    fn task(&self) -> PyResult<String> {
        Ok(self.0.get()?.place().task.to_string())
    }

    /// "chief", "worker", "ps" or "evaluator".
    #[getter]
    fn role(&self) -> PyResult<String> {
        Ok(self.0.get()?.place().task.role.to_string())
    }

    /// The replica's number, from 0; None in a process that is not a replica.
    #[getter]
    fn number(&self) -> PyResult<Option<u64>> {
        Ok(self.0.get()?.place().replica_id())
    }

    /// Whether it is replica 0, which runs the hooks.
    #[getter]
    fn chief(&self) -> PyResult<bool> {
        Ok(self.0.get()?.place().is_chief())
    }

    /// How many replicas there are.
    #[getter]
    fn replicas(&self) -> PyResult<usize> {
        Ok(self.0.get()?.total_num_replicas())
    }

    /// All replicas but the backups.
    #[getter]
    fn aggregate(&self) -> PyResult<usize> {
        Ok(self.0.get()?.replicas_to_aggregate())
    }

    /// The run folder of the launcher, if one started this process.
    #[getter]
    fn run_dir(&self) -> Option<PathBuf> {
        Cluster::run_dir()
    }

    /// Takes part as this place's replica.
    fn _join(
        &self,
        variables: &Bound<'_, PyDict>,
        optimizer: &Bound<'_, PyAny>,
        settings: Settings,
        options: JoinOptions,
    ) -> PyResult<Replica> {
        let cluster = self.0.get()?;
        let number = cluster.place().replica_id().unwrap_or_default();
        let with = (optimizer, settings, options);
        let inner = match Initial::read(variables)? {
            Initial::F32(variables) => join(cluster, variables, with)?,
            Initial::F64(variables) => join(cluster, variables, with)?,
        };
        Ok(Replica::new(number, inner))
    }

    /// Serves any program of the replicas as a parameter server, until training is over.
    fn _serve<'py>(
        &self,
        py: Python<'py>,
        folder: Option<PathBuf>,
        save_every: u64,
        keep: usize,
    ) -> PyResult<Bound<'py, PyDict>> {
        let cluster = self.0.get()?.clone();
        let task = cluster.place().task;
        let first = (task.role, task.index) == (Role::Ps, 0);
        let mut files = ServerFiles { checkpoints: None, run: RunId::draw(), record: None };
        if let Some(folder) = folder {
            std::fs::create_dir_all(&folder)?;
            if first {
                let run = newest_run(&folder).map_err(|error| errors::checkpoint(&error))?;
                files.run = run.unwrap_or(files.run);
            }
            files.checkpoints = Some(Checkpoints { folder, steps: save_every, keep });
        }
        let stop = cluster.process_handle();
        let mut signals = 0;
        // A second one ends at once, unsaved.
        let interrupted = move || {
            stop.leave();
            signals += 1;
            signals == 1
        };
        let served = beside(py, move || cluster.serve(files), interrupted)?;
        cluster_report(py, served.map_err(|error| errors::cluster(&error, None))?)
    }

    /// Ends this process's part in the cluster: a server saves and leaves.
    fn _leave(&self) -> PyResult<()> {
        self.0.get().map(|cluster| cluster.process_handle().leave())
    }
}

/// Asks a callable where a server is.
fn asking(callable: Py<PyAny>) -> Resolve {
    let callable = Arc::new(callable);
    Arc::new(move |name| {
        let callable = Arc::clone(&callable);
        let ask = move || {
            let asked = Python::try_attach(|py| callable.call1(py, (name,))?.extract::<String>(py));
            asked
                .ok_or_else(|| io::Error::other("the interpreter is ending"))?
                .map_err(io::Error::from)
        };
        Box::pin(async move { tokio::task::spawn_blocking(ask).await? })
    })
}

fn join<T: Number>(
    cluster: &Cluster,
    variables: Variables<T>,
    (rule, settings, options): (&Bound<'_, PyAny>, Settings, JoinOptions),
) -> PyResult<Box<dyn ReplicaImpl>> {
    let wire: NumberFormat = chosen("wire", &options.wire)?;
    let agreed = options.agree.iter();
    let cluster =
        agreed.fold(cluster.clone().wire(wire), |all, (name, value)| all.agree(name, value));
    let described = describe(optimizer(rule, &variables)?, settings)?;
    let (cache, cause) = (Arc::<VariableCache>::default(), Arc::<Cause>::default());
    let mut hooks = Hooks::new();
    for hook in hook::hooks(&options.hooks, &cache, &cause) {
        hooks = hooks.hook(hook);
    }
    if let Some(steps) = options.steps {
        hooks = hooks.stop_at_step(steps);
    }
    let joined = || -> Result<ClusterReplica<T>, ClusterError> {
        described.on(&cluster).build(variables)?.replica(hooks)
    };
    let joined = rule.py().detach(joined).map_err(|error| errors::cluster(&error, None))?;
    Ok(Box::new(ClusterReplicaImpl::new(joined, cluster.process_handle(), cause)))
}
