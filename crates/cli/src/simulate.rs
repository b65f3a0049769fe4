//! `sync-replicas simulate`: a plan run in virtual time, or the published numbers recomputed.
//!
//! What is simulated is the `simulator` crate's; here are options, words and figures.

mod figures;
mod text;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cluster::exit::Exit;
use simulator::checks::Published;
use simulator::{Mode, Outcome, Plan, PlanError, plans};

use crate::args::SimulateArgs;
use crate::say::{self, JsonError};

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
    /// An invalid plan.
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
    /// Nobody has the result.
    #[error(transparent)]
    Json(#[from] JsonError),
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
    /// The exit status of the program: whether the options are wrong, or what came of them.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Checks { .. } | Self::Json(_) => Exit::Failed,
            _ => Exit::Usage,
        }
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
            if args.json {
                return Ok(say::json(out, &outcome.report)?);
            }
            // A reader that has gone, as `head` does, is no failure.
            let _ = out.write_all(text::run(&plan, &outcome.report).as_bytes());
            Ok(())
        }
        None => checks(args, out),
    }
}

/// A plan by the name of its file, or by its own.
///
/// # Errors
/// [`SimulateError`] when there is none, or when it is invalid.
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
    if args.json {
        say::json(out, &checks)?;
    } else {
        let _ = out.write_all(text::checks(&checks).as_bytes());
    }
    let (all, failed) = (checks.len(), checks.iter().filter(|check| !check.holds).count());
    if failed > 0 { Err(SimulateError::Checks { failed, all }) } else { Ok(()) }
}
