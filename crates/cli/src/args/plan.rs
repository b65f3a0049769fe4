//! The options of `plan`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use simulator::Mode;
use simulator::advice::Iterations;

use super::kinds::MODES;
use super::law::{LawArg, StragglersArg};
use super::parse::whole;
use super::security::SecurityArgs;

/// The options of `plan`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
#[command(group(ArgGroup::new("source").required(true).args(["run", "times", "plan", "compute"])))]
pub struct PlanArgs {
    /// The run folder of a training, or its metrics.jsonl: plan with the times measured there; or
    /// the address of the first parameter server of a running one, HOST:PORT
    #[arg(value_name = "RUN or ADDR")]
    pub run: Option<PathBuf>,
    /// Plan with your own times: a CSV file with the columns step, replica and seconds
    #[arg(long, value_name = "FILE", alias = "trace")]
    pub times: Option<PathBuf>,
    /// Plan with the laws and rules of a plan file, or of a built-in plan
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Plan with machines with this computing time, as in log-normal:median=1.5,sigma=0.1
    ///
    ///   constant:seconds=1                    exponential:mean=1
    ///   shifted-exponential:least=1,mean_excess=0.2
    ///   log-normal:median=1.5,sigma=0.1       pareto:least=1,alpha=2,most=300
    #[arg(long, value_name = "LAW", verbatim_doc_comment)]
    pub compute: Option<LawArg>,
    /// Batches that take another time, and how often, as in 0.02=pareto:least=1.7,alpha=2,most=310
    #[arg(long, value_name = "PART=LAW", requires = "compute")]
    pub stragglers: Option<StragglersArg>,

    /// A fixed fleet: which A of so many machines? [default: as many as the run, the
    /// times or the plan have]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=MOST))]
    pub machines: Option<u64>,
    /// A fixed batch: how many machines for so many gradients a step? [default: as
    /// the run or plan; all replicas of --times]
    #[arg(long, value_name = "A", value_parser = whole::<u64>(1..=MOST))]
    pub gradients: Option<u64>,
    /// The most backups to look at for a fixed batch [default: a fifth of A, and 3]
    #[arg(long, value_name = "NUMBER", value_parser = whole::<u64>(0..=200))]
    pub most_backups: Option<u64>,
    /// Steps that training needs with A gradients each: `inverse` (the same number of gradients
    /// altogether), or points A=STEPS joined by lines, as in 50=137500,100=76200; an A beyond the
    /// points gets no answer
    #[arg(long, value_name = "CURVE", default_value = "inverse")]
    pub iterations: Iterations,
    /// What decides how a step goes
    #[arg(long, value_parser = MODES.parser(), default_value = "tokens")]
    pub mode: Mode,
    /// Under the rules of the original system: leftover tokens are kept, no replica is told
    #[arg(long, conflicts_with = "plan")]
    pub reference: bool,
    /// Decides every random number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    #[arg(value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: u64,
    /// Write one JSON object instead of words
    #[arg(long)]
    pub json: bool,
    /// Also write the figures fleet.svg and batch.svg to this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The key or certificates for an address.
    #[command(flatten)]
    pub security: SecurityArgs,
}

/// More machines than this take too long to compare.
const MOST: u64 = 4096;

const AFTER_HELP: &str = "\
Examples:
  sync-replicas plan runs/mlp-20260131-120000
  sync-replicas plan --times times.csv --json
  sync-replicas plan --plan chen-2016 --machines 100 --iterations 50=137500,100=76200
  sync-replicas plan --compute shifted-exponential:least=1,mean_excess=0.2 --gradients 50
  sync-replicas plan --compute log-normal:median=1.55,sigma=0.045 \\
      --stragglers 0.02=pareto:least=1.7,alpha=2,most=310 --machines 100 --out figures

Of measured times it is first said who is slow: all the time, for a while, or together with whom.
A fixed fleet trades the length of a step against the number of steps; a fixed batch trades it
against the price of machines. Every choice is looked at: where there are many, all by the formula
(--mode ideal), and the promising ones by simulation. Intervals are 95 %. Measured steps are drawn
as wholes, so what machines have in common is kept; machines of a law, and machines more than were
measured, are taken to be independent: where they share processors or a network, more of them are
slower than this says.";
