//! The options of `node`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use cluster::NumberFormat;
use cluster::spec::{Role, SpecError, check_address};

use super::data::FileArg;
use super::kinds::{ROLES, WIRES};
use super::parse::{at_least_one, parse_duration, whole};
use super::security::SecurityArgs;
use super::train::TrainArgs;

/// The options of `node`.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// Parameter servers: addresses, the first one coordinates; under Slurm how many [default: 1]
    #[arg(long, value_name = "HOST:PORT,... or COUNT", help_heading = PLACE)]
    pub ps: Option<PsArg>,
    /// Workers: addresses in their order; worker 0 is the chief
    #[arg(long, value_name = "HOST:PORT,...", requires = "role", help_heading = PLACE)]
    pub worker_hosts: Option<Addresses>,
    /// What this process is: ps or worker, with the addresses of all, or evaluator; without it
    /// TF_CONFIG or Slurm's variables say so
    #[arg(long, value_parser = ROLES.parser(), value_name = "ROLE", help_heading = PLACE)]
    pub role: Option<Role>,
    /// Which of its role it is, from 0
    #[arg(long, value_name = "NUMBER", default_value_t = 0, help_heading = PLACE)]
    #[arg(value_parser = whole::<u64>(0..=u64::MAX))]
    pub index: u64,
    /// How many workers are spare: A is the number of workers less this
    #[arg(long, value_name = "B", conflicts_with = "replicas_to_aggregate", help_heading = PLACE)]
    pub backup: Option<u64>,
    /// The address to listen on [default: the one that the others know]
    #[arg(long, value_name = "IP", help_heading = PLACE)]
    pub listen: Option<IpAddr>,
    /// How numbers travel; the same in every process
    #[arg(long, value_parser = WIRES.parser(), default_value = "f32", help_heading = PLACE)]
    pub wire: NumberFormat,
    /// How long a worker looks for missing servers, or an evaluator for a checkpoint, before it
    /// ends
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = PLACE)]
    #[arg(value_parser = parse_duration)]
    pub patience: Duration,
    /// The port of --dashboard
    #[arg(long, value_name = "PORT", help_heading = PLACE)]
    #[arg(value_parser = whole::<u16>(0..=65_535))]
    pub metrics_port: Option<u16>,
    /// Parameter servers without a program: how many megabytes one may need for the program that
    /// comes [default: the machine's memory]
    #[arg(long, value_name = "MB", value_parser = at_least_one(), help_heading = PLACE)]
    pub max_memory: Option<u64>,
    /// A file for messages about the run, instead of standard error
    #[arg(long, value_name = "FILE", help_heading = PLACE)]
    pub log: Option<PathBuf>,
    /// End as soon as standard input does: for a launcher that holds the other end
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
    /// What to learn from.
    #[command(flatten)]
    pub file: FileArg,
    /// Which callers may come in.
    #[command(flatten)]
    pub security: SecurityArgs,
    /// What is trained.
    #[command(flatten)]
    pub train: TrainArgs,
}

/// Where the parameter servers are, or how many, where the system says where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PsArg {
    /// `HOST:PORT,...`.
    At(Addresses),
    /// So many.
    Count(u64),
}

/// `HOST:PORT,...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(String);

impl FromStr for PsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count) => Ok(Self::Count(count)),
            Err(_) if text.contains(':') => text.parse().map(Self::At),
            Err(_) => Err("expected HOST:PORT,... or a number".to_owned()),
        }
    }
}

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let checked = text.split(',').try_for_each(|it| check_address("", it.trim()));
        checked.map(|()| Self(text.to_owned())).map_err(|error| match error {
            SpecError::Invalid { expected, got, .. } => format!("expected {expected}, got {got}"),
            other => other.to_string(),
        })
    }
}

impl fmt::Display for PsArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(addresses) => addresses.fmt(f),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) const PLACE: &str = "Cluster";
