//! `sync-replicas simulate`: a plan run in virtual time, or the published numbers recomputed.
//!
//! The `simulator` crate simulates; here are options, words and figures.

mod figures;
mod text;

use std::fs;
use std::io::Write;
use std::path::Path;

use simulator::checks::Published;
use simulator::{Outcome, Plan, plans};

use crate::args::SimulateArgs;
use crate::error::Error;
use crate::system::output;

/// Simulates, and writes the result.
///
/// # Errors
/// When there is no such plan, a file cannot be written, or a published number is not reproduced.
pub fn simulate(args: &SimulateArgs, out: &mut dyn Write) -> Result<(), Error> {
    match &args.plan {
        Some(name) => {
            let plan = changed(read_plan(name)?, args);
            let outcome = simulator::simulate(&plan);
            if let Some(folder) = &args.out {
                write_run(folder, &plan, &outcome)?;
            }
            if args.json {
                return output::json(out, &outcome.report);
            }
            output::text(out, &text::run(&plan, &outcome.report))
        }
        None => checks(args, out),
    }
}

/// A plan by the name of its file, or by its own.
///
/// # Errors
/// When there is none, or when it is invalid.
pub fn read_plan(name: &str) -> Result<Plan, Error> {
    let text = match (fs::read_to_string(name), plans::carried(name)) {
        (Ok(text), _) => text,
        (Err(_), Some(carried)) => carried.text.to_owned(),
        (Err(error), None) => {
            let carried = plans::CARRIED.map(|plan| plan.name).join(", ");
            return Err(Error::usage(format!(
                "the plan {name} is neither a file ({error}) nor one that the program carries: \
                 {carried}"
            )));
        }
    };
    Plan::read(&text).map_err(|error| Error::usage(format!("{name}, {error}")))
}

fn changed(mut plan: Plan, args: &SimulateArgs) -> Plan {
    plan.seed = args.seed.unwrap_or(plan.seed);
    plan.steps = args.steps.unwrap_or(plan.steps);
    plan.mode = args.mode.unwrap_or(plan.mode);
    plan
}

fn json(value: &impl serde::Serialize) -> String {
    // Reports are made of numbers and text, which JSON can always hold.
    serde_json::to_string(value).unwrap_or_default()
}

fn write_run(folder: &Path, plan: &Plan, outcome: &Outcome) -> Result<(), Error> {
    let steps = outcome.step_seconds.iter().enumerate();
    let lines = steps.map(|(n, seconds)| format!("{},{seconds}\n", n + 1));
    let table: String = std::iter::once("step,seconds\n".to_owned()).chain(lines).collect();
    write(folder, "report.json", &format!("{}\n", json(&outcome.report)))?;
    write(folder, "steps.csv", &table)?;
    write(folder, "steps.svg", &figures::steps(plan, outcome))
}

pub(crate) fn write(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let unwritable = |path: &Path, error: std::io::Error| {
        Error::usage(format!("{} cannot be written: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| unwritable(&path, error))
}

fn checks(args: &SimulateArgs, out: &mut dyn Write) -> Result<(), Error> {
    let published = Published::simulate();
    let checks = published.checks();
    if let Some(folder) = &args.out {
        for (name, figure) in figures::published(&published) {
            write(folder, name, &figure)?;
        }
    }
    if args.json {
        output::json(out, &checks)?;
    } else {
        output::text(out, &text::checks(&checks))?;
    }
    let (all, failed) = (checks.len(), checks.iter().filter(|check| !check.holds).count());
    match failed {
        0 => Ok(()),
        _ => Err(Error::failed(format!("{failed} of {all} checks do not hold; see the table"))),
    }
}
