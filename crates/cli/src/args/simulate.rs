//! The options of `simulate`.

use std::path::PathBuf;

use clap::Args;
use simulator::{Mode, Plan};

use super::kinds::MODES;
use super::parse::whole;

/// The options of `simulate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "The carried plans are listed by --help.")]
pub struct SimulateArgs {
    /// A plan file, or the name of a built-in plan
    #[arg(value_name = "PLAN", required_unless_present = "checks", conflicts_with = "checks")]
    pub plan: Option<String>,
    /// Decides every random number [default: the plan's]
    #[arg(long, value_name = "NUMBER", conflicts_with = "checks")]
    #[arg(value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: Option<u64>,
    /// How many steps to simulate [default: the plan's]
    #[arg(long, value_name = "STEPS", conflicts_with = "checks")]
    #[arg(value_parser = whole::<u64>(1..=Plan::MOST_STEPS))]
    pub steps: Option<u64>,
    /// What decides how a step goes [default: the plan's]
    #[arg(long, value_parser = MODES.parser(), conflicts_with = "checks")]
    pub mode: Option<Mode>,
    /// Recompute what is published about stragglers, as a table
    #[arg(long)]
    pub checks: bool,
    /// Write one JSON object instead of words
    #[arg(long)]
    pub json: bool,
    /// Also write files to this folder: the report, every step's time, figures
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

pub(super) const AFTER_HELP: &str = "\
Plans that the program carries:
  chen-2016            100 machines with a heavy tail
  osdi-2016            50 gradients a step, by the formula
  osdi-2016-tokens     50 gradients a step, by tokens
  exponential          a law for which the expected step is known exactly
  one-slow-machine     one of five machines is always ten times slower
  spot-machines        machines that die, come back and stand still
  dead-without-lease   too many die at once, without leases: it gets stuck
  bytedance-sequences  32 replicas whose batches differ in length
  bytedance-slow-rank  one of four replicas is always 2.25 times slower
  pai-quiet            ten machines that hardly vary
  pai-two-kinds        ten machines, half of them four times slower
  greyhound-512        64 nodes, one of which is slow for an hour now and then
  meta-failures        128 nodes that fail and come back

Examples:
  sync-replicas simulate chen-2016
  sync-replicas simulate chen-2016 --mode ideal --seed 7 --json
  sync-replicas simulate my-plan.toml --steps 5000 --out figures
  sync-replicas simulate --checks --out figures";
