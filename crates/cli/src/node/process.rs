//! A process that knows its place in a cluster, and what it trains.
//!
//! The training is the one of `train`, from the same settings.

use std::time::Duration;

use cluster::spec::{Node, Role};
use cluster::{Cluster, ClusterReport, OnCluster, StopHandle, Wire};
use sync_replicas::checkpoint::RunId;
use sync_replicas::{Hooks, Record, SyncReplicas};

use super::error::NodeError;
use crate::args::{NodeArgs, WireKind};
use crate::error::UsageError;
use crate::optional::set;
use crate::run_folder::RunFolder;
use crate::security;
use crate::settings::{Resume, Settings};
use crate::train::{TrainError, learner, replicas, shard};

/// After this long without a sign a replica's token goes to another.
const LEASE: Duration = Duration::from_secs(5);

/// A process that knows its place, ready to run.
#[derive(Debug)]
pub struct Process {
    pub(super) cluster: Cluster,
    pub(super) settings: Settings,
    pub(super) patience: Duration,
    pub(super) metrics_port: Option<u16>,
    /// Whether a launcher looks after it.
    launched: bool,
}

impl Process {
    /// The place, the key and the settings.
    ///
    /// # Errors
    /// [`NodeError`], before anything is opened or written.
    pub fn new(args: NodeArgs) -> Result<Self, NodeError> {
        let place = place(&args)?;
        let cluster = Cluster::new(place).patience(args.patience).wire(match args.wire {
            WireKind::F32 => Wire::Native,
            WireKind::Bf16 => Wire::Bf16,
        });
        let cluster = set(cluster, security::key(&args.security)?, Cluster::key);
        let cluster = set(cluster, security::tls(&args.security), Cluster::tls);
        let cluster = set(cluster, args.listen, Cluster::listen);
        let workers = cluster.place().num_replicas();
        let mut settings = match cluster.place().task.role {
            Role::Evaluator => Settings::check(args.train)?,
            _ => Settings::check_in_cluster(args.train, workers, args.backup)?,
        };
        settings.resume = match settings.resume {
            Resume::From(path) => Resume::OwnOr(path),
            _ => Resume::IfAny,
        };
        let (task, writes) = (cluster.place().task, cluster.place().is_chief());
        let writes = writes || (task.role == Role::Ps && task.index == 0);
        if writes && settings.out.is_none() {
            return Err(NodeError::NoOut { task: task.to_string() });
        }
        let cluster = cluster.lease(settings.lease.unwrap_or(LEASE));
        let (patience, metrics_port) = (args.patience, args.metrics_port);
        let launched = args.end_with_stdin;
        Ok(Self { cluster, settings, patience, metrics_port, launched })
    }

    /// Ends its part from outside.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.cluster.stop_handle()
    }

    /// The run folder, for the process that writes the checkpoints: an earlier life of it may have
    /// been there, or its launcher has made it ready.
    pub(super) fn owned(&self) -> Result<RunFolder, NodeError> {
        let owned = if self.launched {
            RunFolder::join(&self.settings).and_then(|mut folder| folder.hold().map(|()| folder))
        } else {
            RunFolder::open(&self.settings).and_then(|folder| {
                folder.record(&self.settings)?;
                if let Some(from) = folder.from() {
                    tracing::info!("{}", from.words());
                }
                Ok(folder)
            })
        };
        owned.map_err(|error| TrainError::from(error).into())
    }

    /// The run folder, for the others.
    pub(super) fn joined(&self) -> Result<RunFolder, NodeError> {
        RunFolder::join(&self.settings).map_err(|error| TrainError::from(error).into())
    }

    /// This process's part, whichever it is, in a run.
    pub(super) fn fit(
        &self,
        hooks: Hooks<f32>,
        run: RunId,
        record: Option<&Record>,
    ) -> Result<ClusterReport<f32>, NodeError> {
        let variables = self.settings.classifier.variables(self.settings.seed);
        let variables = variables.map_err(TrainError::from)?;
        let described = set(replicas(&self.settings)?.run_id(run), record, SyncReplicas::record);
        let trainer = described.on(&self.cluster).build(variables)?;
        let learner = learner(&self.settings);
        Ok(trainer.fit(&learner, |_| shard(&self.settings), hooks)?)
    }
}

/// From options where they say it, else from the environment.
fn place(args: &NodeArgs) -> Result<Node, NodeError> {
    if let (Some(role), None) = (&args.role, &args.worker_hosts) {
        if role != "evaluator" {
            let option = "--role";
            let expected = "--ps and --worker-hosts with it, with everybody's addresses";
            return Err(UsageError::number(option, expected, role).into());
        }
        // It speaks to nobody, so that any addresses will do.
        return Ok(Node::from_flags("127.0.0.1:1", "127.0.0.1:2", role, 0)?);
    }
    if let (Some(role), Some(ps), Some(workers)) = (&args.role, &args.ps, &args.worker_hosts) {
        return Ok(Node::from_flags(ps, workers, role, args.index)?);
    }
    let ps = match &args.ps {
        None => 1,
        Some(count) => count.parse().map_err(|_| {
            let expected = "a number, or addresses together with --role and --worker-hosts";
            UsageError::number("--ps", expected, count)
        })?,
    };
    Ok(Cluster::from_env(ps)?.ok_or(NodeError::NoPlace)?.place().clone())
}
