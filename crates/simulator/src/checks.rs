//! What is published about stragglers and backups, recomputed.
//!
//! Each check names its source and says whether its number was fitted: a fitted one shows that the
//! calibration is consistent, not that the simulator is right. The seeds are fixed, so the table is
//! the same wherever it is made.

mod closed_forms;
mod conservation;
mod curves;
mod figure_8c;
mod protocol;
mod replayed;
mod traces;

use serde::Serialize;

pub use curves::{Arrived, Curves, FleetPoint};
pub use figure_8c::Backups;

use crate::plan::Plan;
use crate::plans;

/// How much a number that comes out right is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It must hold exactly, or in distribution, with a known expectation.
    Exact,
    /// The calibration was chosen so that it holds.
    Fitted,
    /// Nothing was chosen for it.
    Predicted,
    /// A claim of this project about itself.
    OwnClaim,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Its number.
    pub id: &'static str,
    /// What must hold, and how closely.
    pub claim: &'static str,
    /// Its source.
    pub source: &'static str,
    /// What decided how a step goes.
    pub mode: &'static str,
    /// What it is worth.
    pub kind: Kind,
    /// What came out.
    pub got: String,
    /// Whether it holds.
    pub holds: bool,
}

/// The data of the checks and figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// A fleet of 100 machines.
    pub curves: Curves,
    /// Backups for 50 gradients a step: by the formula, and by tokens.
    pub backups: [Backups; 2],
}

impl Published {
    /// Simulates all of it; takes some seconds.
    #[must_use]
    pub fn simulate() -> Self {
        Self { curves: curves::curves(), backups: figure_8c::PLANS.map(figure_8c::backups) }
    }

    /// All checks; takes some seconds more.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let mut checks = reference_runs().to_vec();
        checks.push(closed_forms::check());
        checks.push(conservation::check());
        checks.extend(curves::checks(&self.curves));
        checks.extend(figure_8c::checks(&self.backups));
        checks.extend(protocol::checks(&self.curves));
        checks.extend(traces::checks());
        checks.push(replayed::check());
        checks
    }
}

/// TensorFlow's own test runs concern values, not times; tests replay them.
fn reference_runs() -> [Check; 3] {
    let row = |id, claim, source, tests: &str| Check {
        id,
        claim,
        source,
        mode: "real replicas",
        kind: Kind::Exact,
        got: format!("see {tests}"),
        holds: true,
    };
    let runs = "crates/sync-replicas/tests/it/reference_runs.rs";
    [
        row(
            "Q-1",
            "two replicas, plain descent: the variables after each round, to 1e-6",
            "TensorFlow, sync_replicas_optimizer_test.py",
            runs,
        ),
        row(
            "Q-2",
            "three replicas of which two count: the variables, and who is dropped, to 1e-6",
            "TensorFlow, sync_replicas_optimizer_test.py",
            runs,
        ),
        row(
            "Q-3",
            "an accumulator's mean, sum, and staleness as its step rises, to 1e-6",
            "TensorFlow, conditional_accumulator_test.py",
            "crates/accum-core/tests/it/dense.rs",
        ),
    ]
}

/// A carried plan; one that cannot be read fails the test of the carried plans.
fn carried(name: &str) -> Plan {
    let text = plans::carried(name).map_or("", |plan| plan.text);
    Plan::read(text).unwrap_or_else(|error| panic!("the carried plan {name}: {error}"))
}

/// A carried plan for other numbers of gradients and replicas.
fn carried_for(name: &str, aggregate: usize, total: usize) -> Plan {
    let plan = carried(name).with(|settings| {
        settings.replicas_to_aggregate = aggregate;
        settings.total_num_replicas = Some(total);
    });
    plan.unwrap_or_else(|error| panic!("{aggregate} of {total}: {error}"))
}
