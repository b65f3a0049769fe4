//! The options of `launch`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use cluster::NumberFormat;

use super::data::FileArg;
use super::kinds::WIRES;
use super::node::PLACE;
use super::parse::{at_least_one, parse_duration, whole};
use super::security::SecurityArgs;
use super::train::TrainArgs;

/// The options of `launch`.
#[derive(Clone, Debug, Args)]
pub struct LaunchArgs {
    /// How many parameter servers
    #[arg(long, value_name = "COUNT", default_value_t = 1, help_heading = PLACE)]
    #[arg(value_parser = whole::<u64>(1..=256))]
    pub ps: u64,
    /// N: how many workers
    #[arg(long, value_name = "COUNT", default_value_t = 5, help_heading = PLACE)]
    #[arg(value_parser = whole::<u64>(1..=256))]
    pub workers: u64,
    /// How many workers are spare: A is the number of workers less this
    #[arg(long, value_name = "B", conflicts_with = "replicas_to_aggregate", help_heading = PLACE)]
    pub backup: Option<u64>,
    /// Also start an evaluator, which tests every checkpoint while the others train
    #[arg(long, help_heading = PLACE)]
    pub evaluator: bool,
    /// How numbers travel
    #[arg(long, value_parser = WIRES.parser(), default_value = "f32", help_heading = PLACE)]
    pub wire: NumberFormat,
    /// How long a worker looks for missing servers before it ends
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = PLACE)]
    #[arg(value_parser = parse_duration)]
    pub patience: Duration,
    /// The port of --dashboard
    #[arg(long, value_name = "PORT", help_heading = PLACE)]
    #[arg(value_parser = whole::<u16>(1..=65_000))]
    pub metrics_port: Option<u16>,
    /// With your own program: how many megabytes a parameter server may need for it [default: the
    /// machine's memory]
    #[arg(long, value_name = "MB", value_parser = at_least_one(), help_heading = PLACE)]
    pub max_memory: Option<u64>,
    /// What to learn from.
    #[command(flatten)]
    pub file: FileArg,
    /// A program that the workers run instead of ours, with its own options: it takes its place
    /// from TF_CONFIG, as a program with the crate `cluster` or the Python package does
    #[arg(last = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
    /// Which callers may come in.
    #[command(flatten)]
    pub security: SecurityArgs,
    /// What is trained.
    #[command(flatten)]
    pub train: TrainArgs,
}
