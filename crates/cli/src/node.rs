//! One process of a cluster: its place, its part of the digits job, its exit code.
//!
//! The training is the one of `train`, from the same settings. Invariant: a process that can be
//! started again goes on from the run folder that it has written before.

mod chief;
mod ending;
mod evaluator;
mod metrics_page;

use std::path::PathBuf;
use std::time::Duration;

use cluster::exit::Exit;
use cluster::security::KeyError;
use cluster::spec::{Node, Role, SpecError};
use cluster::{Cluster, ClusterError, ClusterReport, OnCluster, StopHandle, Wire};
pub use ending::Ending;
use sync_replicas::Hooks;

use crate::args::{NodeArgs, TrainArgs, WireKind, cli_name};
use crate::run_folder::RunFolder;
use crate::security;
use crate::settings::Settings;
use crate::summary::Summary;
use crate::train::{TrainError, hooks, replicas};

/// After this long without a sign a replica's token goes to another.
const LEASE: Duration = Duration::from_secs(5);

/// Why a process ended otherwise than by the end of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Nothing says which process of which cluster this is.
    #[error(
        "expected a place in a cluster from --role, --index, --ps and --worker-hosts, from \
         TF_CONFIG, or from srun, got none of them; `sync-replicas launch` starts all processes"
    )]
    NoPlace,
    /// What says so makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A number that is none, or does not fit the cluster.
    #[error("{option}: expected {expected}, got {got}")]
    Number {
        /// The option.
        option: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The training itself, or its files.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Training ended, and the chief could not fetch what came of it.
    #[error("training ended before the chief could fetch the variables; start it again")]
    NoVariables,
    /// An evaluator does not know where the checkpoints are.
    #[error("an evaluator tests checkpoints: give --out or --checkpoint-dir of the training")]
    NoFolder,
    /// An evaluator waited in vain.
    #[error("no new checkpoint came to {} within {seconds:.0} s (--patience)", folder.display())]
    NoCheckpoint {
        /// Where it waited.
        folder: PathBuf,
        /// For how long.
        seconds: f64,
    },
    /// The chief was asked to end before training did.
    #[error("this worker is the chief and was asked to end; start it again for the result")]
    ChiefLeft,
}

impl NodeError {
    /// What to tell the scheduler.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoPlace | Self::Spec(_) | Self::Number { .. } | Self::Key(_) | Self::NoFolder => {
                Exit::Usage
            }
            Self::Train(error) if error.exit_status() == 2 => Exit::Usage,
            Self::Train(_) => Exit::Failed,
            Self::Cluster(error) => error.exit(),
            Self::ChiefLeft | Self::NoVariables | Self::NoCheckpoint { .. } => Exit::Restart,
        }
    }
}

/// A process that knows its place, ready to run.
#[derive(Debug)]
pub struct Process {
    cluster: Cluster,
    settings: Settings,
    patience: Duration,
    metrics_port: Option<u16>,
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
        let train = sized(args.train, workers, args.backup)?;
        let settings = Settings::check(train).map_err(TrainError::from)?;
        let cluster = cluster.lease(settings.lease.unwrap_or(LEASE));
        Ok(Self { cluster, settings, patience: args.patience, metrics_port: args.metrics_port })
    }

    /// Ends its part from outside.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.cluster.stop_handle()
    }

    /// Whether standard output is this process's to write the result on.
    #[must_use]
    pub fn is_chief(&self) -> bool {
        self.cluster.place().is_chief()
    }

    /// Takes part until training is over; the chief has the result.
    ///
    /// # Errors
    /// [`NodeError`]; its exit code says whether a restart can help.
    pub fn run(self) -> Result<Option<Summary>, NodeError> {
        let task = self.cluster.place().task;
        if self.is_chief() {
            return chief::run(&self).map(Some);
        }
        if task.role == Role::Evaluator {
            return evaluator::run(&self).map(|()| None);
        }
        if task.role == Role::Ps
            && let Some(port) = self.metrics_port
        {
            metrics_page::serve(self.cluster.reach()?, task.index as usize, port);
        }
        let folder =
            (task.role == Role::Ps && task.index == 0).then(|| self.folder()).transpose()?;
        let report = self.fit(hooks(&self.settings, None, folder.as_ref()))?;
        tracing::info!(reason = report.stopped, "{task} has ended");
        Ok(None)
    }

    /// The run folder, in which an earlier life of this process may have been.
    fn folder(&self) -> Result<RunFolder, NodeError> {
        let (out, checkpoints) = (&self.settings.out, &self.settings.checkpoint_dir);
        let model = cli_name(self.settings.model);
        RunFolder::prepare(&model, out.as_deref(), checkpoints.as_deref(), true)
            .map_err(|error| TrainError::from(error).into())
    }

    /// This process's part, whichever it is.
    fn fit(&self, hooks: Hooks<f32>) -> Result<ClusterReport<f32>, NodeError> {
        let variables = self.settings.classifier.variables(self.settings.seed);
        let variables = variables.map_err(TrainError::from)?;
        let trainer = replicas(&self.settings)?.on(&self.cluster).build(variables)?;
        let learner = crate::train::learner(&self.settings);
        Ok(trainer.fit(&learner, |_| crate::train::shard(&self.settings), hooks)?)
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
pub(crate) fn sized(
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
