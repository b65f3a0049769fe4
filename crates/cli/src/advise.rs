//! `sync-replicas plan`: how many backups? From a run's own times, or from a law.
//!
//! Choices are simulated and compared by the `simulator` crate; here are options, the reading of a
//! run, words and figures.

mod run;
mod source;
mod words;

use std::io::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde::Serialize;
use simulator::advice::{Advice, AdviceError, Fleet, Iterations, fixed_batch, fixed_fleet};

use crate::simulate::{ModeKind, SimulateError, write};
use run::RunError;

/// The options of `plan`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
#[command(group(ArgGroup::new("source").required(true).args(["run", "plan", "compute"])))]
pub struct PlanArgs {
    /// The run folder of a training, or its metrics.jsonl: plan with the times measured there
    #[arg(value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Plan with the laws and rules of a plan file, or of a plan that the program carries
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Plan with machines that compute for such a time, as in log-normal:median=1.5,sigma=0.1
    ///
    ///   constant:seconds=1                    exponential:mean=1
    ///   shifted-exponential:least=1,mean_excess=0.2
    ///   log-normal:median=1.5,sigma=0.1       pareto:least=1,alpha=2,most=300
    #[arg(long, value_name = "LAW", verbatim_doc_comment)]
    pub compute: Option<String>,
    /// Batches that take another time, and how often, as in 0.02=pareto:least=1.7,alpha=2,most=310
    #[arg(long, value_name = "PART=LAW", requires = "compute")]
    pub stragglers: Option<String>,

    /// A fixed fleet: which A of so many machines? [default: as many as the run or plan has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    pub machines: Option<u64>,
    /// A fixed batch: how many machines for so many gradients a step? [default: as the run or plan]
    #[arg(long, value_name = "A", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    pub gradients: Option<u64>,
    /// The most backups to look at for a fixed batch [default: a fifth of A, and 3]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(0..=200))]
    pub most_backups: Option<u64>,
    /// Steps that training needs with A gradients each: `inverse` (the same number of gradients
    /// altogether), or points A=STEPS joined by lines, as in 50=137500,100=76200; nothing is said
    /// of an A beyond the points
    #[arg(long, value_name = "CURVE", default_value = "inverse")]
    pub iterations: Iterations,
    /// Who decides how a step goes
    #[arg(long, value_enum, default_value_t = ModeKind::Tokens)]
    pub mode: ModeKind,
    /// Under the rules of the original system: leftover tokens are kept, nobody is told
    #[arg(long, conflicts_with = "plan")]
    pub reference: bool,
    /// Decides every random number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// Write one JSON object instead of words
    #[arg(long)]
    pub json: bool,
    /// Also write the figures fleet.svg and batch.svg to this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// More machines than this take too long to compare.
const MOST: u64 = 4096;

const AFTER_HELP: &str = "\
Examples:
  sync-replicas plan runs/mlp-20260131-120000
  sync-replicas plan --plan chen-2016 --machines 100 --iterations 50=137500,100=76200
  sync-replicas plan --compute shifted-exponential:least=1,mean_excess=0.2 --gradients 50
  sync-replicas plan --compute log-normal:median=1.55,sigma=0.045 \\
      --stragglers 0.02=pareto:least=1.7,alpha=2,most=310 --machines 100 --out figures

A fixed fleet trades the length of a step against the number of steps; a fixed batch trades it
against the price of machines. Every choice is looked at: where there are many, all by the formula
(--mode ideal), and the promising ones by simulation. Intervals are 95 %. Machines are taken to be
independent: where they share processors or a network, more of them are slower than this says.";

/// Why there is no advice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The run cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A plan cannot be read, or a figure not be written.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// The question cannot be answered.
    #[error(transparent)]
    Advice(#[from] AdviceError),
    /// A law cannot be meant.
    #[error("{option} {text}: {problem}")]
    Law {
        /// Which option.
        option: &'static str,
        /// What it was given.
        text: String,
        /// Why not.
        problem: String,
    },
    /// Neither question was asked.
    #[error(
        "nothing to plan: give --machines N (a fixed fleet), --gradients A (a fixed batch), or both"
    )]
    NoQuestion,
}

/// What is asked, and the answers.
#[derive(Debug, Serialize)]
struct Answer {
    source: String,
    notes: Vec<String>,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed_fleet: Option<FleetAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed_batch: Option<BatchAnswer>,
}

#[derive(Debug, Serialize)]
struct FleetAnswer {
    machines: usize,
    iterations: String,
    recommended: usize,
    as_good: (usize, usize),
    at_edge: bool,
    #[serde(skip)]
    hours: bool,
    advice: Advice,
}

#[derive(Debug, Serialize)]
struct BatchAnswer {
    gradients: usize,
    fastest_backups: usize,
    fastest_as_good: (usize, usize),
    fastest_at_edge: bool,
    thriftiest_backups: usize,
    thriftiest_as_good: (usize, usize),
    thriftiest_at_edge: bool,
    advice: Advice,
}

/// Answers "how many backups?".
///
/// # Errors
/// [`PlanError`].
pub fn plan(args: &PlanArgs, out: &mut dyn Write) -> Result<(), PlanError> {
    let source = source::read(args)?;
    let machines = args.machines.map(|it| it as usize).or(source.machines);
    let gradients = args.gradients.map(|it| it as usize).or(source.gradients);
    if machines.is_none() && gradients.is_none() {
        return Err(PlanError::NoQuestion);
    }
    let fleet = machines.map(|machines| fleet_answer(&source.fleet, machines, &args.iterations));
    let batch = gradients.map(|gradients| {
        let usual = gradients.div_ceil(5) + 3;
        let most = args.most_backups.map_or(usual, |most| most as usize);
        batch_answer(&source.fleet, gradients, most)
    });
    let answer = Answer {
        fixed_fleet: fleet.transpose()?,
        fixed_batch: batch.transpose()?,
        source: source.name,
        notes: source.notes,
        seed: args.seed,
    };
    if let Some(folder) = &args.out {
        for (name, figure) in words::figures(&answer) {
            write(folder, name, &figure)?;
        }
    }
    // A reader that has gone, as `head` does, is no failure.
    let _ = if args.json {
        writeln!(out, "{}", serde_json::to_string(&answer).unwrap_or_default())
    } else {
        out.write_all(words::answer(&answer).as_bytes())
    };
    Ok(())
}

fn fleet_answer(
    fleet: &Fleet,
    machines: usize,
    iterations: &Iterations,
) -> Result<FleetAnswer, AdviceError> {
    let advice = fixed_fleet(fleet, machines, iterations)?;
    let aggregate = |place: usize| advice.choices[place].replicas_to_aggregate;
    let (from, to) = advice.best.as_good;
    Ok(FleetAnswer {
        machines,
        iterations: words::iterations(iterations),
        recommended: aggregate(advice.best.index),
        as_good: (aggregate(from), aggregate(to)),
        at_edge: advice.best.at_edge,
        hours: *iterations != Iterations::Inverse,
        advice,
    })
}

fn batch_answer(
    fleet: &Fleet,
    gradients: usize,
    most_backups: usize,
) -> Result<BatchAnswer, AdviceError> {
    let advice = fixed_batch(fleet, gradients, most_backups)?;
    let backups = |place: usize| advice.choices[place].backups;
    let as_good = |(from, to): (usize, usize)| (backups(from), backups(to));
    Ok(BatchAnswer {
        gradients,
        fastest_backups: backups(advice.fastest.index),
        fastest_as_good: as_good(advice.fastest.as_good),
        fastest_at_edge: advice.fastest.at_edge,
        thriftiest_backups: backups(advice.best.index),
        thriftiest_as_good: as_good(advice.best.as_good),
        thriftiest_at_edge: advice.best.at_edge,
        advice,
    })
}
