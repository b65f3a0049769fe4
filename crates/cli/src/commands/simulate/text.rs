//! The text of a simulated run and of the table of published numbers.

use std::fmt::Write as _;

use simulator::checks::{Check, Kind};
use simulator::{Mode, Plan, Report};

use crate::units::time;

/// A run in a few lines.
pub(super) fn run(plan: &Plan, report: &Report) -> String {
    let mut out = String::new();
    let mode = match report.mode {
        Mode::Ideal => "the formula",
        Mode::Tokens => "the engine",
    };
    let step = report.step_seconds;
    let gradients = report.gradients;
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "{}: {}\nby {mode}, {} of {} gradients make a step, seed {}\n\n\
         steps        {}, which take {} of virtual time\n\
         a step       {} ± {} in the mean (95 %), standard deviation {}\n\
        \u{20}            median {}, 95 % within {}, 99 % within {}\n\
        \u{20}            longest {}\n\
         gradients    {} counted, {} dropped as stale, {} superseded\n\
         wasted       {:.2} gradients a step, {:.1} % of all computing\n",
        if plan.name.is_empty() { "plan" } else { &plan.name },
        plan.about,
        report.replicas_to_aggregate,
        report.total_num_replicas,
        report.seed,
        report.steps,
        time(report.seconds),
        time(step.mean),
        time(1.96 * step.standard_error),
        time(step.deviation),
        time(step.p50),
        time(step.p95),
        time(step.p99),
        time(step.longest),
        gradients.accepted,
        gradients.stale + gradients.duplicates,
        gradients.superseded,
        report.wasted_per_step,
        100.0 * report.wasted_compute,
    );
    if let Some(tokens) = report.tokens {
        let _ = writeln!(
            out,
            "tokens       {} put = {} spent + {} discarded\n             \
             + {} lost + {} queued + {} held",
            tokens.issued, tokens.spent, tokens.discarded, tokens.lost, tokens.queued, tokens.held
        );
    }
    if let Some(stuck) = &report.stuck {
        let _ = writeln!(out, "\n{stuck}");
    }
    out
}

/// The table of published numbers, in Markdown.
pub(super) fn checks(checks: &[Check]) -> String {
    let mut out = String::from(
        "| id | must hold | source | mode | kind | came out | holds |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for check in checks {
        let kind = match check.kind {
            Kind::Exact => "exact",
            Kind::Fitted => "fitted",
            Kind::Predicted => "predicted",
            Kind::OwnClaim => "own claim",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {kind} | {} | {} |",
            check.id,
            check.claim,
            check.source,
            check.mode,
            check.got,
            if check.holds { "yes" } else { "**no**" }
        );
    }
    out
}
