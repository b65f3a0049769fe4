//! `sync-replicas plan`: how many backups? From a run's own times, or from a distribution.
//!
//! Choices are simulated and compared by the `simulator` crate; here are the reading of a run, text
//! and figures.

mod answer;
mod run;
mod source;
mod text;

use std::io::Write;

use self::answer::{Answer, BatchAnswer, FleetAnswer};
use crate::args::PlanArgs;
use crate::error::Error;
use crate::output;
use crate::simulate::write;

/// Answers "how many backups?".
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
    if args.json {
        return output::json(out, &answer);
    }
    // A reader that has gone, as `head` does, is no failure.
    let _ = out.write_all(text::answer(&answer).as_bytes());
    Ok(())
}
