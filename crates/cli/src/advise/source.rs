//! What the machines are like: a run, a plan, or a law in one line.

use simulator::advice::Fleet;
use simulator::{Law, Mode, Plan};
use sync_replicas::engine::Settings;

use super::error::PlanError;
use super::run;
use crate::args::PlanArgs;
use crate::simulate::read_plan;

pub(super) struct Source {
    pub(super) name: String,
    /// What a reader of the answer should know.
    pub(super) notes: Vec<String>,
    pub(super) fleet: Fleet,
    /// N and A, if the source has them.
    pub(super) machines: Option<usize>,
    pub(super) gradients: Option<usize>,
}

pub(super) fn read(args: &PlanArgs) -> Result<Source, PlanError> {
    let mut source = if let Some(path) = &args.run {
        let run = run::read(path)?;
        let plan = bare(run.usual(), args.reference)?;
        let (machines, gradients) = (Some(run.machines.len()), Some(run.gradients));
        Source {
            name: format!("the run {}", path.display()),
            notes: run.notes(),
            fleet: Fleet { plan: Plan { update: run.update(), ..plan }, measured: run.machines },
            machines,
            gradients,
        }
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
        Source { name, notes, fleet: plan.into(), machines, gradients }
    } else {
        let text = args.compute.clone().unwrap_or_default();
        let mut law = law("--compute", &text)?;
        let mut name = text;
        if let Some(text) = &args.stragglers {
            law = with_stragglers(law, text)?;
            name = format!("{name}, stragglers {text}");
        }
        let plan = bare(law, args.reference)?;
        let notes = Vec::new();
        Source { name, notes, fleet: plan.into(), machines: None, gradients: None }
    };
    source.fleet.plan.seed = args.seed;
    source.fleet = source.fleet.in_mode(Mode::from(args.mode));
    Ok(source)
}

/// A plan with a law alone, without leases: how long one is changes with the times.
fn bare(law: Law, reference: bool) -> Result<Plan, PlanError> {
    let failed = |error: sync_replicas::engine::ConfigError| PlanError::Law {
        option: "--reference",
        text: String::new(),
        problem: error.to_string(),
    };
    let plan = Plan::new(law, 1, 1).map_err(failed)?;
    if !reference {
        return Ok(plan);
    }
    plan.with(|settings| {
        let admission = settings.admission;
        *settings = Settings { admission, step_deadline: None, ..settings.clone().reference() };
    })
    .map_err(failed)
}

/// `NAME:key=value,...` as a law: the words are those of plan files.
fn law(option: &'static str, text: &str) -> Result<Law, PlanError> {
    let (name, keys) = text.split_once(':').unwrap_or((text, ""));
    let refused = |problem: String| PlanError::Law { option, text: text.to_owned(), problem };
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if name.is_empty() || !name.chars().all(is_word) {
        return Err(refused("expected a law such as exponential:mean=1".to_owned()));
    }
    let toml = format!("replicas_to_aggregate = 1\ncompute.{name} = {{ {keys} }}\n");
    match Plan::read(&toml) {
        Ok(plan) => Ok(plan.compute),
        Err(error) => Err(refused(error.message().to_owned())),
    }
}

fn with_stragglers(body: Law, text: &str) -> Result<Law, PlanError> {
    const OPTION: &str = "--stragglers";
    let refused = |problem: String| PlanError::Law { option: OPTION, text: text.into(), problem };
    let Some((part, straggler)) = text.split_once('=') else {
        return Err(refused("expected PART=LAW, such as 0.02=exponential:mean=9".to_owned()));
    };
    let number: f64 = part.trim().parse().map_err(|_| {
        refused(format!("expected a probability from 0 to 1 before the `=`, got {part:?}"))
    })?;
    let probability =
        number.try_into().map_err(|error: simulator::NumberError| refused(error.to_string()))?;
    let straggler = law(OPTION, straggler)?;
    Ok(Law::Mixture { probability, body: body.into(), straggler: straggler.into() })
}
