//! The answers: the choices that `simulator` compared, and which of them to take.

use serde::Serialize;
use simulator::advice::{Advice, AdviceError, Fleet, Iterations, fixed_batch, fixed_fleet};

/// What is asked, and the answers.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) source: String,
    pub(super) notes: Vec<String>,
    pub(super) seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fixed_fleet: Option<FleetAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fixed_batch: Option<BatchAnswer>,
}

#[derive(Debug, Serialize)]
pub(super) struct FleetAnswer {
    pub(super) machines: usize,
    pub(super) iterations: String,
    pub(super) recommended: usize,
    pub(super) as_good: (usize, usize),
    pub(super) at_edge: bool,
    #[serde(skip)]
    pub(super) hours: bool,
    pub(super) advice: Advice,
}

#[derive(Debug, Serialize)]
pub(super) struct BatchAnswer {
    pub(super) gradients: usize,
    pub(super) fastest_backups: usize,
    pub(super) fastest_as_good: (usize, usize),
    pub(super) fastest_at_edge: bool,
    pub(super) thriftiest_backups: usize,
    pub(super) thriftiest_as_good: (usize, usize),
    pub(super) thriftiest_at_edge: bool,
    pub(super) advice: Advice,
}

impl FleetAnswer {
    pub(super) fn new(
        fleet: &Fleet,
        machines: usize,
        iterations: &Iterations,
    ) -> Result<Self, AdviceError> {
        let advice = fixed_fleet(fleet, machines, iterations)?;
        let aggregate = |place: usize| advice.choices[place].replicas_to_aggregate;
        let (from, to) = advice.best.as_good;
        Ok(Self {
            machines,
            iterations: in_words(iterations),
            recommended: aggregate(advice.best.index),
            as_good: (aggregate(from), aggregate(to)),
            at_edge: advice.best.at_edge,
            hours: *iterations != Iterations::Inverse,
            advice,
        })
    }
}

impl BatchAnswer {
    pub(super) fn new(
        fleet: &Fleet,
        gradients: usize,
        most_backups: usize,
    ) -> Result<Self, AdviceError> {
        let advice = fixed_batch(fleet, gradients, most_backups)?;
        let backups = |place: usize| advice.choices[place].backups;
        let as_good = |(from, to): (usize, usize)| (backups(from), backups(to));
        Ok(Self {
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
}

fn in_words(iterations: &Iterations) -> String {
    match iterations {
        Iterations::Inverse => "as many as make the same number of gradients".to_owned(),
        Iterations::Points(points) => {
            let points = points.iter().map(|(a, steps)| format!("{steps} with A = {a}"));
            format!("{}; beyond that nothing is known", points.collect::<Vec<_>>().join(", "))
        }
    }
}
