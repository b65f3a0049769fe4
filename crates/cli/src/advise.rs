//! `sync-replicas plan`: how many backups? From a run's own times, or from a law.
//!
//! Choices are simulated and compared by the `simulator` crate; here are options, the reading of a
//! run, words and figures.

mod run;
mod source;
mod text;

use std::io::Write;

use serde::Serialize;
use simulator::advice::{Advice, AdviceError, Fleet, Iterations, fixed_batch, fixed_fleet};

use crate::args::PlanArgs;
use crate::simulate::{SimulateError, write};
use run::RunError;

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
        for (name, figure) in text::figures(&answer) {
            write(folder, name, &figure)?;
        }
    }
    // A reader that has gone, as `head` does, is no failure.
    let _ = if args.json {
        writeln!(out, "{}", serde_json::to_string(&answer).unwrap_or_default())
    } else {
        out.write_all(text::answer(&answer).as_bytes())
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
        iterations: text::iterations(iterations),
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
