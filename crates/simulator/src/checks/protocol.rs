//! what tokens cost against the formula, and that telling replicas at once takes it back.

use engine::TokenPolicy;

use super::{Check, Curves, Kind, carried_for};
use crate::distribution::Seconds;
use crate::plan::Mode;
use crate::simulate;

/// Plan, gradients, backups.
const RUNS: [(&str, usize, usize); 6] = [
    ("chen-2016", 99, 1),
    ("chen-2016", 96, 4),
    ("chen-2016", 90, 10),
    ("osdi-2016", 50, 1),
    ("osdi-2016", 50, 4),
    ("osdi-2016", 50, 5),
];

pub(super) fn checks(curves: &Curves) -> [Check; 2] {
    let (mut slower, mut differing, mut steps) = (true, 0, 0);
    let mut costs = Vec::new();
    for (name, aggregate, backups) in RUNS {
        let mut plan = carried_for(name, aggregate, aggregate + backups);
        // Token mode as described: leftovers are kept, no replica is told.
        (plan.mode, plan.steps) = (Mode::Ideal, 5000);
        let ideal = simulate(&plan);
        plan.mode = Mode::Tokens;
        let described = with(&plan, false);
        let tokens = described.report.step_seconds.mean;
        slower &= tokens > ideal.report.step_seconds.mean;
        costs.push(format!("{:+.1} %", 100.0 * (tokens / ideal.report.step_seconds.mean - 1.0)));
        // A gradient on its way cannot be called back, so here it takes no time to arrive.
        plan.network_per_replica = Seconds::default();
        let told = with(&plan, true);
        plan.mode = Mode::Ideal;
        let ideal = simulate(&plan);
        let pairs = ideal.step_seconds.iter().zip(&told.step_seconds);
        // Both are rounded to the nanosecond, at other places.
        differing += pairs.filter(|(a, b)| (*a - *b).abs() > 1e-6).count();
        steps += ideal.step_seconds.len().max(told.step_seconds.len());
    }
    let hours = |point: &super::FleetPoint| point.reference.map(|seconds| point.hours(seconds));
    let timed = curves.fleet.iter().filter_map(|point| Some((point.aggregate, hours(point)?)));
    let best = timed.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
    let source = "this project";
    [
        Check {
            id: "Q-9",
            claim: "tokens as described are slower than the formula wherever there are backups",
            source,
            mode: "tokens, ideal",
            kind: Kind::OwnClaim,
            got: format!(
                "{} for {}; of 100 machines {} is then fastest, {:.1} h",
                costs.join(", "),
                RUNS.map(|(_, a, b)| format!("{a}+{b}")).join(", "),
                best.0,
                best.1
            ),
            holds: slower,
        },
        Check {
            id: "Q-9",
            claim: "told at once, leftovers discarded, nothing on the wire: a step takes what the \
                    formula says",
            source,
            mode: "tokens, ideal",
            kind: Kind::OwnClaim,
            got: format!("{differing} of {steps} steps differ by more than a microsecond"),
            holds: differing == 0 && steps == RUNS.len() * 5000,
        },
    ]
}

fn with(plan: &crate::Plan, told: bool) -> crate::Outcome {
    let changed = plan.with(|settings| {
        settings.tell_superseded = told;
        settings.lease = None;
        settings.initial_tokens = engine::InitialTokens::Fewest;
        settings.token_policy =
            if told { TokenPolicy::DiscardLeftovers } else { TokenPolicy::KeepLeftovers };
    });
    simulate(changed.as_ref().unwrap_or(plan))
}
