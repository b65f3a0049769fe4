//! Why a process of a cluster fails, and what its scheduler should do.

use std::path::PathBuf;

use cluster::ClusterError;
use cluster::exit::Exit;
use cluster::security::KeyError;
use cluster::spec::SpecError;

use crate::error::UsageError;
use crate::train::TrainError;

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
    /// Invalid options.
    #[error(transparent)]
    Usage(#[from] UsageError),
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
    /// The process that writes checkpoints, or shows the result, does not know where.
    #[error(
        "{task} writes into the run folder, and a later life of it must find that again: give --out"
    )]
    NoOut {
        /// Which process this is.
        task: String,
    },
    /// Metrics were asked for, and their port cannot be had.
    #[error("--metrics-port: port {port} on loopback cannot be used: {source}; give another one")]
    MetricsPort {
        /// Which.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// An evaluator waited in vain.
    #[error("no new checkpoint came to {} within {seconds:.0} s (--patience)", folder.display())]
    NoCheckpoint {
        /// Where it waited.
        folder: PathBuf,
        /// For how long.
        seconds: f64,
    },
}

impl NodeError {
    /// What to tell the scheduler.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoPlace
            | Self::Spec(_)
            | Self::Usage(_)
            | Self::Key(_)
            | Self::NoFolder
            | Self::NoOut { .. } => Exit::Usage,
            Self::MetricsPort { .. } => Exit::Failed,
            Self::Train(error) => error.exit(),
            Self::Cluster(error) => error.exit(),
            Self::NoVariables | Self::NoCheckpoint { .. } => Exit::Restart,
        }
    }
}
