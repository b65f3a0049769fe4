//! a fleet of 100 machines with a heavy tail (Calibration C).
//!
//! Fitted to two points of the published arrival curve. The A that trains fastest is not fitted.

use super::{Check, Kind, carried, carried_for};
use crate::ideal::Arrivals;
use crate::plan::Mode;
use crate::simulate;
use crate::stats::mean;

const PLAN: &str = "chen-2016";
const MACHINES: usize = 100;
const SECONDS: f64 = 2.0;

/// Of the k-th gradients of each step, when they came.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// Which gradient, from 1.
    pub k: usize,
    /// Ascending seconds.
    pub seconds: Vec<f64>,
}

/// What training takes with A of 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FleetPoint {
    /// A, the gradients that a step needs.
    pub aggregate: usize,
    /// Updates to converge.
    pub iterations: f64,
    /// Mean seconds a step by the formula.
    pub ideal: f64,
    /// Mean seconds a step by the tokens of TensorFlow; for some A only.
    pub reference: Option<f64>,
}

impl FleetPoint {
    /// Hours of training if a step takes so many seconds.
    #[must_use]
    pub fn hours(&self, seconds: f64) -> f64 {
        self.iterations * seconds / 3600.0
    }
}

/// The curves of a fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Arrivals of some gradients.
    pub arrived: Vec<Arrived>,
    /// A from 50 to 100.
    pub fleet: Vec<FleetPoint>,
}

/// Updates to converge with A gradients: a straight line through two remembered end points.
#[must_use]
fn iterations(aggregate: usize) -> f64 {
    137_500.0 + (76_200.0 - 137_500.0) * (aggregate as f64 - 50.0) / 50.0
}

/// Simulates the fleet.
pub(super) fn curves() -> Curves {
    let plan = carried(PLAN);
    let mut arrivals = Arrivals::new(&plan);
    let mut by_k = vec![Vec::new(); MACHINES];
    for _ in 0..plan.steps {
        for (list, time) in by_k.iter_mut().zip(arrivals.step()) {
            list.push(time.arrives);
        }
    }
    let fleet = (50..=MACHINES).map(|aggregate| FleetPoint {
        aggregate,
        iterations: iterations(aggregate),
        ideal: mean(&by_k[aggregate - 1]),
        reference: is_marked(aggregate).then(|| token_mode(aggregate)),
    });
    let fleet = fleet.collect();
    let arrived = [1, 50, 90, 97, 98, 99, 100].map(|k| {
        let mut seconds = std::mem::take(&mut by_k[k - 1]);
        seconds.sort_by(f64::total_cmp);
        Arrived { k, seconds }
    });
    Curves { arrived: arrived.to_vec(), fleet }
}

/// Token mode takes longer to simulate than the formula.
fn is_marked(aggregate: usize) -> bool {
    aggregate >= 90 || aggregate.is_multiple_of(10)
}

fn token_mode(aggregate: usize) -> f64 {
    let mut plan = carried_for(PLAN, aggregate, MACHINES);
    (plan.mode, plan.steps) = (Mode::Tokens, 5000);
    simulate(&plan).report.step_seconds.mean
}

pub(super) fn checks(curves: &Curves) -> [Check; 2] {
    let within = |k: usize| {
        let arrived = curves.arrived.iter().find(|arrived| arrived.k == k);
        let seconds = arrived.map_or(&[][..], |arrived| &arrived.seconds);
        seconds.partition_point(|time| *time <= SECONDS) as f64 / seconds.len().max(1) as f64
    };
    let (early, last) = (within(98), within(100));
    let cost = |point: &&FleetPoint| point.hours(point.ideal);
    let best = curves.fleet.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
    let hours = |aggregate: usize| {
        let point = curves.fleet.iter().find(|point| point.aggregate == aggregate);
        point.map_or(0.0, |point| point.hours(point.ideal))
    };
    let best = best.map_or(0, |point| point.aggregate);
    let source = "Chen and others 2016, as others report it";
    [
        Check {
            id: "Q-6",
            claim: "within 2 s: of the 98th gradients 0.80, of the 100th 0.30, each ± 0.10",
            source,
            mode: "ideal",
            kind: Kind::Fitted,
            got: format!("{early:.3} and {last:.3}"),
            holds: (early - 0.8).abs() <= 0.1 && (last - 0.3).abs() <= 0.1,
        },
        Check {
            id: "Q-7",
            claim: "the fastest A of 100 machines is 95 to 97",
            source: "Chen and others 2016, as others report it; iterations from memory",
            mode: "ideal",
            kind: Kind::Predicted,
            got: format!(
                "{best}: {:.1} h, against {:.1} h with A = 100 and {:.1} h with A = 50",
                hours(best),
                hours(100),
                hours(50)
            ),
            holds: (95..=97).contains(&best),
        },
    ]
}
