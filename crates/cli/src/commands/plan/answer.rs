//! The answers: which replicas are slow, the choices that `simulator` compared, and which of them
//! to take.

use serde::Serialize;
use simulator::advice::{
    Advice, AdviceError, Diagnosis, Fleet, Gain, Iterations, Remedy, Replay, Trace, fixed_batch,
    fixed_fleet,
};

/// The question, and the answers.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) source: String,
    pub(super) notes: Vec<String>,
    pub(super) seed: u64,
    #[serde(flatten)]
    pub(super) measured: Option<MeasuredAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fixed_fleet: Option<FleetAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fixed_batch: Option<BatchAnswer>,
}

/// What measured times tell.
#[derive(Debug, Serialize)]
pub(super) struct MeasuredAnswer {
    pub(super) diagnosis: Diagnosis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<Remedy>,
    /// The A of this fleet once slow replicas are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recommended_once_replaced: Option<usize>,
    pub(super) replay: ReplayAnswer,
}

#[derive(Debug, Serialize)]
pub(super) struct ReplayAnswer {
    pub(super) steps: usize,
    pub(super) choices: Vec<Gain>,
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

/// Fewer steps do not show their spread.
const FEWEST_STEPS: usize = 10;

impl Answer {
    /// Whether some replica is always slow.
    pub(super) fn names_somebody(&self) -> bool {
        self.measured.as_ref().is_some_and(|it| !it.diagnosis.slow().is_empty())
    }

    /// Whether enough was measured for intervals; without measurements, the laws are known.
    pub(super) fn has_intervals(&self) -> bool {
        self.measured.as_ref().is_none_or(MeasuredAnswer::has_intervals)
    }

    /// A note if that is not so.
    pub(super) fn warn_of_few_steps(&mut self) {
        if let Some(measured) = self.measured.as_ref().filter(|it| !it.has_intervals()) {
            let (steps, were) = match measured.replay.steps {
                1 => ("1 step".to_owned(), "was"),
                many => (format!("{many} steps"), "were"),
            };
            self.notes.push(format!(
                "only {steps} {were} looked at, and so few say little: no intervals are told; \
                 measure more"
            ));
        }
    }
}

impl MeasuredAnswer {
    /// What a trace tells of a training in whose steps so many gradients count.
    pub(super) fn new(
        trace: &Trace,
        replay: &Replay,
        fleet: &Fleet,
        gradients: Option<usize>,
        iterations: &Iterations,
    ) -> Result<Self, AdviceError> {
        let (machines, seed) = (replay.machines(), fleet.plan.seed);
        let diagnosis = Diagnosis::of(trace);
        let slow = diagnosis.slow();
        let remedy = replay.remedy(&slow, gradients.unwrap_or(machines).min(machines), seed);
        let once_replaced = remedy.as_ref().map(|_| {
            let measured = Some(replay.replaced(&slow, seed));
            let fleet = Fleet { measured, ..fleet.clone() };
            FleetAnswer::new(&fleet, machines, iterations).map(|answer| answer.recommended)
        });
        Ok(Self {
            diagnosis,
            remedy,
            recommended_once_replaced: once_replaced.transpose()?,
            replay: ReplayAnswer {
                steps: replay.steps(),
                choices: replay.gains(machines.div_ceil(5) + 3, seed),
            },
        })
    }

    /// Whether enough was measured for intervals.
    pub(super) fn has_intervals(&self) -> bool {
        self.replay.steps >= FEWEST_STEPS
    }
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
