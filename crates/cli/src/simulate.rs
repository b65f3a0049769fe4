//! `sync-replicas simulate`: a plan run in virtual time, or the published numbers recomputed.
//!
//! What is simulated is the `simulator` crate's; here are options, words and figures.

mod figures;
mod words;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) use words::number;

use clap::{Args, ValueEnum};
use simulator::checks::Published;
use simulator::{Mode, Outcome, Plan, PlanError, plans};

/// The options of `simulate`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = AFTER_HELP, after_help = "The carried plans are listed by --help.")]
pub struct SimulateArgs {
    /// A plan file, or the name of a plan that the program carries
    #[arg(value_name = "PLAN", required_unless_present = "checks", conflicts_with = "checks")]
    pub plan: Option<String>,
    /// Decides every random number [default: the plan's]
    #[arg(long, value_name = "NUMBER", conflicts_with = "checks")]
    pub seed: Option<u64>,
    /// How many steps to simulate [default: the plan's]
    #[arg(long, value_name = "STEPS", conflicts_with = "checks")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=Plan::MOST_STEPS))]
    pub steps: Option<u64>,
    /// Who decides how a step goes [default: the plan's]
    #[arg(long, value_enum, conflicts_with = "checks")]
    pub mode: Option<ModeKind>,
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

/// Who decides how a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeKind {
    /// The formula: all replicas start each step together
    Ideal,
    /// The engine and its tokens, as in training
    Tokens,
}

impl From<ModeKind> for Mode {
    fn from(kind: ModeKind) -> Self {
        match kind {
            ModeKind::Ideal => Self::Ideal,
            ModeKind::Tokens => Self::Tokens,
        }
    }
}

const AFTER_HELP: &str = "\
Plans that the program carries:
  chen-2016            100 machines with a heavy tail
  osdi-2016            50 gradients a step, by the formula
  osdi-2016-tokens     50 gradients a step, by tokens
  exponential          a law for which the expected step is known exactly
  one-slow-machine     one of five machines is always ten times slower
  spot-machines        machines that die, come back and stand still
  dead-without-lease   too many die at once, without leases: it gets stuck

Examples:
  sync-replicas simulate chen-2016
  sync-replicas simulate chen-2016 --mode ideal --seed 7 --json
  sync-replicas simulate my-plan.toml --steps 5000 --out figures
  sync-replicas simulate --checks --out figures";

/// Why nothing was simulated, or not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// The plan is neither a file nor carried.
    #[error(
        "the plan {name} is neither a file ({error}) nor one that the program carries: {}",
        names()
    )]
    NoPlan {
        /// What was asked for.
        name: String,
        /// Why it is no file.
        error: io::Error,
    },
    /// The plan cannot be meant.
    #[error("{name}, {error}")]
    Plan {
        /// The file.
        name: String,
        /// Where and why.
        error: PlanError,
    },
    /// A file cannot be written.
    #[error("{} cannot be written: {error}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A published number does not come out.
    #[error("{failed} of {all} checks do not hold; see the table")]
    Checks {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
}

impl SimulateError {
    /// What the program ends with: 2 when it cannot be meant, 1 when it failed.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if matches!(self, Self::Checks { .. }) { 1 } else { 2 }
    }
}

/// Simulates, and writes what came of it.
///
/// # Errors
/// [`SimulateError`].
pub fn simulate(args: &SimulateArgs, out: &mut dyn Write) -> Result<(), SimulateError> {
    match &args.plan {
        Some(name) => {
            let plan = changed(read_plan(name)?, args);
            let outcome = simulator::simulate(&plan);
            if let Some(folder) = &args.out {
                write_run(folder, &plan, &outcome)?;
            }
            // A reader that has gone, as `head` does, is no failure.
            let _ = if args.json {
                writeln!(out, "{}", json(&outcome.report))
            } else {
                out.write_all(words::run(&plan, &outcome.report).as_bytes())
            };
            Ok(())
        }
        None => checks(args, out),
    }
}

/// A plan by the name of its file, or by its own.
///
/// # Errors
/// [`SimulateError`] when there is none, or when it cannot be meant.
pub fn read_plan(name: &str) -> Result<Plan, SimulateError> {
    let text = match (fs::read_to_string(name), plans::carried(name)) {
        (Ok(text), _) => text,
        (Err(_), Some(carried)) => carried.text.to_owned(),
        (Err(error), None) => {
            return Err(SimulateError::NoPlan { name: name.to_owned(), error });
        }
    };
    Plan::read(&text).map_err(|error| SimulateError::Plan { name: name.to_owned(), error })
}

fn changed(mut plan: Plan, args: &SimulateArgs) -> Plan {
    plan.seed = args.seed.unwrap_or(plan.seed);
    plan.steps = args.steps.unwrap_or(plan.steps);
    plan.mode = args.mode.map_or(plan.mode, Mode::from);
    plan
}

fn names() -> String {
    plans::CARRIED.map(|plan| plan.name).join(", ")
}

fn json(value: &impl serde::Serialize) -> String {
    // Reports are made of numbers and text, which JSON can always hold.
    serde_json::to_string(value).unwrap_or_default()
}

fn write_run(folder: &Path, plan: &Plan, outcome: &Outcome) -> Result<(), SimulateError> {
    let steps = outcome.step_seconds.iter().enumerate();
    let lines = steps.map(|(n, seconds)| format!("{},{seconds}\n", n + 1));
    let table: String = std::iter::once("step,seconds\n".to_owned()).chain(lines).collect();
    write(folder, "report.json", &format!("{}\n", json(&outcome.report)))?;
    write(folder, "steps.csv", &table)?;
    write(folder, "steps.svg", &figures::steps(plan, outcome))
}

pub(crate) fn write(folder: &Path, name: &str, text: &str) -> Result<(), SimulateError> {
    let failed = |path: &Path, error| SimulateError::Write { path: path.to_owned(), error };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| failed(&path, error))
}

fn checks(args: &SimulateArgs, out: &mut dyn Write) -> Result<(), SimulateError> {
    let published = Published::simulate();
    let checks = published.checks();
    if let Some(folder) = &args.out {
        for (name, figure) in figures::published(&published) {
            write(folder, name, &figure)?;
        }
    }
    let _ = if args.json {
        writeln!(out, "{}", json(&checks))
    } else {
        out.write_all(words::checks(&checks).as_bytes())
    };
    let (all, failed) = (checks.len(), checks.iter().filter(|check| !check.holds).count());
    if failed > 0 { Err(SimulateError::Checks { failed, all }) } else { Ok(()) }
}
