//! A process that knows its place in a cluster, and what it trains.
//!
//! The training is the one of `train`, from the same settings.

use std::time::Duration;

use cluster::spec::Node;
use cluster::{Cluster, ClusterReport, OnCluster, StopHandle, Wire};
use sync_replicas::Hooks;

use super::error::NodeError;
use crate::args::{NodeArgs, TrainArgs, WireKind, cli_name};
use crate::run_folder::RunFolder;
use crate::security;
use crate::settings::Settings;
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
}

impl Process {
    /// The place, the key and the settings.
    ///
    /// # Errors
    /// [`NodeError`], before anything is opened or written.
    pub fn new(args: NodeArgs) -> Result<Self, NodeError> {
        let place = place(&args)?;
        let mut cluster = Cluster::new(place).patience(args.patience).wire(match args.wire {
            WireKind::F32 => Wire::Native,
            WireKind::Bf16 => Wire::Bf16,
        });
        if let Some(key) = security::key(&args.security)? {
            cluster = cluster.key(key);
        }
        if let Some(tls) = security::tls(&args.security) {
            cluster = cluster.tls(tls);
        }
        if let Some(listen) = args.listen {
            cluster = cluster.listen(listen);
        }
        let workers = cluster.place().num_replicas();
        let train = with_cluster_size(args.train, workers, args.backup)?;
        let settings = Settings::check(train).map_err(TrainError::from)?;
        let cluster = cluster.lease(settings.lease.unwrap_or(LEASE));
        Ok(Self { cluster, settings, patience: args.patience, metrics_port: args.metrics_port })
    }

    /// Ends its part from outside.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.cluster.stop_handle()
    }

    /// The run folder, in which an earlier life of this process may have been.
    pub(super) fn folder(&self) -> Result<RunFolder, NodeError> {
        let (out, checkpoints) = (&self.settings.out, &self.settings.checkpoint_dir);
        let model = cli_name(self.settings.model);
        RunFolder::prepare(&model, out.as_deref(), checkpoints.as_deref(), true)
            .map_err(|error| TrainError::from(error).into())
    }

    /// This process's part, whichever it is.
    pub(super) fn fit(&self, hooks: Hooks<f32>) -> Result<ClusterReport<f32>, NodeError> {
        let variables = self.settings.classifier.variables(self.settings.seed);
        let variables = variables.map_err(TrainError::from)?;
        let trainer = replicas(&self.settings)?.on(&self.cluster).build(variables)?;
        let learner = learner(&self.settings);
        Ok(trainer.fit(&learner, |_| shard(&self.settings), hooks)?)
    }
}

/// From options where they say it, else from the environment.
fn place(args: &NodeArgs) -> Result<Node, NodeError> {
    if let (Some(role), Some(ps), Some(workers)) = (&args.role, &args.ps, &args.worker_hosts) {
        return Ok(Node::from_flags(ps, workers, role, args.index)?);
    }
    let ps = match &args.ps {
        None => 1,
        Some(count) => count.parse().map_err(|_| NodeError::Number {
            option: "--ps",
            expected: "a number, or addresses together with --role and --worker-hosts".to_owned(),
            got: count.clone(),
        })?,
    };
    Ok(Cluster::from_env(ps)?.ok_or(NodeError::NoPlace)?.place().clone())
}

/// N is the number of workers; A may be given as N less the backups.
pub(crate) fn with_cluster_size(
    mut train: TrainArgs,
    workers: u64,
    backup: Option<u64>,
) -> Result<TrainArgs, NodeError> {
    let number =
        |option, expected: String, got: String| NodeError::Number { option, expected, got };
    if train.resume.is_some() {
        let expected = "a run that goes on by itself from --out or --checkpoint-dir";
        return Err(number("--resume", expected.to_owned(), "an option of `train`".to_owned()));
    }
    train.total_num_replicas = workers;
    if let Some(backup) = backup {
        let aggregate = workers.checked_sub(backup).filter(|&aggregate| aggregate > 0);
        train.replicas_to_aggregate = aggregate.ok_or_else(|| {
            number("--backup", format!("fewer than the {workers} workers"), backup.to_string())
        })?;
    }
    Ok(train)
}
