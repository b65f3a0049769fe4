//! What the machines are like: a run, measured times, a plan, or a distribution in one line.

use std::path::Path;

use cluster::spec::check_address;
use simulator::advice::{Fleet, Replay, Trace};
use simulator::{Distribution, Plan};
use sync_replicas::engine::Settings;

use super::run::{self, Run};
use super::times;
use crate::args::PlanArgs;
use crate::commands::simulate::read_plan;
use crate::error::Error;

pub(super) struct Source {
    pub(super) name: String,
    /// Notes for a reader of the answer.
    pub(super) notes: Vec<String>,
    pub(super) fleet: Fleet,
    /// What was measured, if anything was.
    pub(super) trace: Option<Trace>,
    /// N and A, if the source has them.
    pub(super) machines: Option<usize>,
    pub(super) gradients: Option<usize>,
}

pub(super) fn read(args: &PlanArgs) -> Result<Source, Error> {
    let mut source = if let Some(address) = args.run.as_ref().and_then(|it| live(it)) {
        of_run(format!("the training at {address}"), run::ask(address, &args.security)?, args)?
    } else if let Some(path) = &args.run {
        of_run(format!("the run {}", path.display()), run::read(path)?, args)?
    } else if let Some(path) = &args.times {
        let times = times::read(path)?;
        let name = format!("the times {}", path.display());
        measured(name, times.notes, times.trace, None, args)?
    } else if let Some(name) = &args.plan {
        let plan = read_plan(name)?;
        let counts = (Some(plan.total()), Some(plan.aggregate()));
        let mut notes = Vec::new();
        if !plan.replicas.is_empty() {
            notes.push("machines beyond those with laws of their own follow the usual law".into());
        }
        let name = format!("the plan {name}");
        // One question is enough if only one was asked.
        let (machines, gradients) = match (args.machines, args.gradients) {
            (None, None) => counts,
            _ => (None, None),
        };
        Source { name, notes, fleet: plan.into(), trace: None, machines, gradients }
    } else if let Some(compute) = &args.compute {
        let (mut name, mut law) = (compute.to_string(), compute.law.clone());
        if let Some(stragglers) = &args.stragglers {
            name = format!("{name}, stragglers {stragglers}");
            law = Distribution::Mixture {
                probability: stragglers.part,
                body: law.into(),
                straggler: stragglers.law.clone().into(),
            };
        }
        let plan = bare(law, args.reference)?;
        let notes = Vec::new();
        Source { name, notes, fleet: plan.into(), trace: None, machines: None, gradients: None }
    } else {
        return Err(Error::usage("expected RUN, --times, --plan or --compute, got none"));
    };
    source.fleet.plan.seed = args.seed;
    source.fleet = source.fleet.in_mode(args.mode);
    Ok(source)
}

/// The address of a parameter server, if one is given and not a file.
fn live(run: &Path) -> Option<&str> {
    run.to_str().filter(|it| !run.exists() && check_address("RUN", it).is_ok())
}

/// A run, by its name.
fn of_run(name: String, run: Run, args: &PlanArgs) -> Result<Source, Error> {
    let (notes, update, gradients) = (run.notes(), run.update(), run.gradients);
    let mut source = measured(name, notes, run.trace, update, args)?;
    source.gradients = Some(gradients);
    Ok(source)
}

/// Measured times, in steps that take `update` beside computing; all make a step.
fn measured(
    name: String,
    notes: Vec<String>,
    trace: Trace,
    update: Option<Distribution>,
    args: &PlanArgs,
) -> Result<Source, Error> {
    let machines = trace.replicas().len();
    // A plan must have a distribution, though no question about measured machines needs it.
    let plan = bare(Distribution::constant(simulator::Seconds::default()), args.reference)?;
    let replay = Replay::of(&trace, update.as_ref(), args.seed);
    Ok(Source {
        name,
        notes,
        fleet: Fleet { plan: Plan { update, ..plan }, measured: Some(replay) },
        trace: Some(trace),
        machines: Some(machines),
        gradients: Some(machines),
    })
}

/// A plan with a distribution alone, without leases, whose length changes with the times.
fn bare(compute: Distribution, reference: bool) -> Result<Plan, Error> {
    let failed = |error| Error::usage(format!("--reference: {error}"));
    let plan = Plan::new(compute, 1, 1).map_err(failed)?;
    if !reference {
        return Ok(plan);
    }
    plan.with(|settings| {
        let admission = settings.admission;
        *settings = Settings { admission, step_deadline: None, ..settings.clone().reference() };
    })
    .map_err(failed)
}
