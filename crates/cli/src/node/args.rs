//! The options of `node`, and those that it shares with `status`.
//!
//! As written; what they mean is for [`place`](super::place) and the cluster to say.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use cluster::security::{KeyError, SharedKey, TlsSettings};

use crate::args::{TrainArgs, parse_duration};

/// The options of `node`.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// Parameter servers: addresses, the first one coordinates; under Slurm how many [default: 1]
    #[arg(long, value_name = "HOST:PORT,... or COUNT", help_heading = PLACE)]
    pub ps: Option<String>,
    /// Workers: addresses in their order; worker 0 is the chief
    #[arg(long, value_name = "HOST:PORT,...", requires = "role", help_heading = PLACE)]
    pub worker_hosts: Option<String>,
    /// What this process is: ps, worker or evaluator; without it TF_CONFIG or Slurm's variables
    /// say so
    #[arg(long, value_name = "ROLE", requires_all = ["ps", "worker_hosts"], help_heading = PLACE)]
    pub role: Option<String>,
    /// Which of its role it is, from 0
    #[arg(long, value_name = "NUMBER", default_value_t = 0, help_heading = PLACE)]
    pub index: u64,
    /// How many workers are spare: A is the number of workers less this
    #[arg(long, value_name = "B", conflicts_with = "replicas_to_aggregate", help_heading = PLACE)]
    pub backup: Option<u64>,
    /// The address to listen on [default: the one that the others know]
    #[arg(long, value_name = "IP", help_heading = PLACE)]
    pub listen: Option<IpAddr>,
    /// How numbers travel; the same in every process
    #[arg(long, value_enum, default_value_t = WireKind::F32, help_heading = PLACE)]
    pub wire: WireKind,
    /// How long a worker looks for servers that are gone, or an evaluator for a checkpoint, before
    /// it ends
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = PLACE)]
    #[arg(value_parser = parse_duration)]
    pub patience: Duration,
    /// Parameter servers: metrics for Prometheus on this port, on loopback
    #[arg(long, value_name = "PORT", help_heading = PLACE)]
    pub metrics_port: Option<u16>,
    /// Messages about the run go to this file instead of standard error
    #[arg(long, value_name = "FILE", help_heading = PLACE)]
    pub log: Option<PathBuf>,
    /// End as soon as standard input does: of a launcher that holds the other end
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
    /// Who may come in.
    #[command(flatten)]
    pub security: SecurityArgs,
    /// What is trained.
    #[command(flatten)]
    pub train: TrainArgs,
}

/// A key or certificates.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = SECURITY)]
pub struct SecurityArgs {
    /// A key of at least 32 bytes that all processes share, readable by its owner alone
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The certificate of this process
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// The authority that signed the others' certificates; servers then ask callers for one
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

impl SecurityArgs {
    /// The key, read from its file.
    ///
    /// # Errors
    /// [`KeyError`] names the file and what is wrong with it.
    pub fn key(&self) -> Result<Option<SharedKey>, KeyError> {
        self.key_file.as_deref().map(SharedKey::read).transpose()
    }

    /// Reads all files once.
    ///
    /// # Errors
    /// [`NodeError`](super::NodeError) names the file and what is wrong with it.
    pub fn check(&self) -> Result<(), super::NodeError> {
        self.key()?;
        if let Some(tls) = self.tls() {
            tls.server().map_err(cluster::ClusterError::from)?;
        }
        Ok(())
    }

    /// The files for TLS, if any is given.
    #[must_use]
    pub fn tls(&self) -> Option<TlsSettings> {
        let (cert, key, ca) = (self.tls_cert.clone(), self.tls_key.clone(), self.tls_ca.clone());
        let any = cert.is_some() || key.is_some() || ca.is_some();
        any.then_some(TlsSettings { cert, key, ca })
    }
}

/// The element type of gradients on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WireKind {
    /// As they are computed
    F32,
    /// Half the bytes, rounded; sums are still made in full
    Bf16,
}

const PLACE: &str = "Cluster";
const SECURITY: &str = "Security";
