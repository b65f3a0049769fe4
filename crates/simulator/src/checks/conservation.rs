//! no token appears from nowhere or vanishes, and max(N, A) - A gradients a step are wasted.

use engine::{InitialTokens, TokenPolicy};

use super::{Check, Kind, carried_for};
use crate::outcome::Report;
use crate::simulate;

/// A and N.
const RUNS: [(usize, usize); 7] =
    [(50, 50), (50, 52), (50, 54), (50, 60), (96, 100), (2, 3), (50, 25)];

pub(super) fn check() -> Check {
    let mut broken = Vec::new();
    for (aggregate, total) in RUNS {
        for initial in [InitialTokens::Fewest, InitialTokens::Aggregate] {
            let plan = carried_for("exponential", aggregate, total);
            let plan = plan.with(|settings| {
                settings.initial_tokens = initial;
                settings.token_policy = TokenPolicy::KeepLeftovers;
            });
            let Ok(plan) = plan else { continue };
            let first = plan.config.initial_tokens(initial).unwrap_or(0) as u64;
            if !balances(&simulate(&plan).report, first) {
                broken.push(format!("{aggregate} of {total}"));
            }
        }
    }
    let got = match broken.as_slice() {
        [] => format!("{} runs of 3,000 steps balance to the token", 2 * RUNS.len()),
        broken => format!("the books do not balance for {}", broken.join(", ")),
    };
    Check {
        id: "Q-5",
        claim: "tokens put = taken + queued; max(N, A) - A gradients a step are wasted; exactly",
        source: "follows from the rules of TensorFlow",
        mode: "tokens",
        kind: Kind::Exact,
        got,
        holds: broken.is_empty(),
    }
}

/// Each replica begins with its own token; each step puts max(N, A) more.
fn balances(report: &Report, initial: u64) -> bool {
    let Some(tokens) = report.tokens else { return false };
    let (aggregate, total) = (report.replicas_to_aggregate, report.total_num_replicas);
    let (steps, per_step) = (report.steps as u64, aggregate.max(total) as u64);
    let put = total as u64 + initial + steps * per_step;
    let counted = steps * aggregate as u64;
    // What a step holds that is not complete.
    let partial = report.gradients.accepted - counted;
    let wasted = put - tokens.queued - tokens.held - counted - partial;
    let bound = total as u64 + initial + partial;
    tokens.issued == put
        && tokens.issued == tokens.spent + tokens.queued + tokens.held
        && report.gradients.wasted() == wasted
        && wasted.abs_diff(steps * (per_step - aggregate as u64)) <= bound
}
