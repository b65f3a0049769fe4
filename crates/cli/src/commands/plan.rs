//! `sync-replicas plan`: who is slow, and how many backups? From a run's own times, from other
//! measured times, or from a distribution.
//!
//! The `simulator` crate simulates and compares choices, and says which replicas are slow; here are
//! the reading of times, text and figures. Measurements come before advice.

mod answer;
mod replicas;
mod run;
mod source;
mod text;
mod times;
mod words;

use std::io::Write;

use self::answer::{Answer, BatchAnswer, FleetAnswer, MeasuredAnswer};
use crate::args::PlanArgs;
use crate::commands::simulate::write;
use crate::error::Error;
use crate::system::output;

/// Answers "who is slow, and how many backups?".
///
/// # Errors
/// When nothing is asked, or nothing can be learned from the run, the plan or the distribution.
pub fn plan(args: &PlanArgs, out: &mut dyn Write) -> Result<(), Error> {
    let source = source::read(args)?;
    let machines = args.machines.map(|it| it as usize).or(source.machines);
    let gradients = args.gradients.map(|it| it as usize).or(source.gradients);
    if machines.is_none() && gradients.is_none() {
        return Err(Error::usage(
            "nothing to plan: give --machines N (a fixed fleet), --gradients A (a fixed batch), or \
             both",
        ));
    }
    let fleet = machines.map(|n| FleetAnswer::new(&source.fleet, n, &args.iterations));
    let batch = gradients.map(|gradients| {
        let usual = gradients.div_ceil(5) + 3;
        let most = args.most_backups.map_or(usual, |most| most as usize);
        BatchAnswer::new(&source.fleet, gradients, most)
    });
    let measured = source.trace.as_ref().zip(source.fleet.measured.as_ref());
    let measured = measured.map(|(trace, replay)| {
        MeasuredAnswer::new(trace, replay, &source.fleet, source.gradients, &args.iterations)
    });
    let mut answer = Answer {
        measured: measured.transpose()?,
        fixed_fleet: fleet.transpose()?,
        fixed_batch: batch.transpose()?,
        source: source.name,
        notes: source.notes,
        seed: args.seed,
    };
    answer.warn_of_few_steps();
    if let Some(folder) = &args.out {
        for (name, figure) in text::figures(&answer) {
            write(folder, name, &figure)?;
        }
    }
    if args.json {
        return output::json(out, &answer);
    }
    output::text(out, &text::answer(&answer))
}
