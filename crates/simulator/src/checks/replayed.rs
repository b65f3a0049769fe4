//! P-23: a plan from a trace matches what its own steps would have given, and always slow replicas
//! are named first.
//!
//! The traces are drawn here, of fleets in which machines differ, slowness lasts, several machines
//! are slow together, and steps are long for all. Planning with independent machines fails here.

use std::error::Error;

use super::{Check, Kind};
use crate::Distribution;
use crate::advice::{Diagnosis, Fleet, Iterations, Replay, Row, Trace, fixed_fleet};
use crate::distribution::{Above, Seconds};
use crate::plan::Plan;
use crate::stream::Stream;

/// A fleet whose steps are drawn.
struct TraceSpec {
    machines: usize,
    /// The spread of a batch, of its logarithm.
    noise: f64,
    /// How much a machine's noise in a step is like that in the step before.
    lasts: f64,
    /// What is common to all machines in a step.
    common: f64,
    /// The machine of this number takes so many times as long.
    slow: Option<(usize, f64)>,
    /// So many machines take three times as long in 10 of every 100 steps, together.
    together: usize,
}

/// Long sequences, a slow rank, and a fleet that shares a switch.
const TRACES: [TraceSpec; 3] = [
    TraceSpec { machines: 32, noise: 0.094, lasts: 0.0, common: 0.05, slow: None, together: 0 },
    TraceSpec {
        machines: 4,
        noise: 0.01,
        lasts: 0.3,
        common: 0.1,
        slow: Some((2, 2.25)),
        together: 0,
    },
    TraceSpec { machines: 10, noise: 0.06, lasts: 0.7, common: 0.3, slow: None, together: 3 },
];
const STEPS: usize = 300;
const SEED: u64 = 23;
const MOST_BACKUPS: usize = 3;
const TOLERANCE: f64 = 0.05;

pub(super) fn check() -> Check {
    let results = TRACES.iter().map(TraceSpec::found).collect::<Result<Vec<_>, _>>();
    let (got, holds) = match results {
        Ok(results) => {
            let got = results.iter().map(|Found { off, slow, groups }| {
                format!("off by {:.1} %, slow {slow:?}, together {groups:?}", 100.0 * off)
            });
            let is_right = |(found, spec): (&Found, &TraceSpec)| {
                let slow = spec.slow.map(|slow| slow.0);
                let together: Vec<i64> = (0..spec.together as i64).collect();
                let groups = Some(together).filter(|group| !group.is_empty());
                found.off <= TOLERANCE
                    && found.slow.iter().copied().eq(slow)
                    && found.groups.iter().eq(&groups)
            };
            let holds = results.iter().zip(&TRACES).all(is_right);
            (got.collect::<Vec<_>>().join("; "), holds)
        }
        Err(error) => (error.to_string(), false),
    };
    Check {
        id: "P-23",
        claim: "gains of 1 to 3 backups, planned from a trace, within 5 % of what its own steps \
                give; of long sequences, a slow rank of 2.25 and a switch of three, the rank alone \
                is slow and the three are together",
        source: "this project",
        mode: "tokens",
        kind: Kind::OwnClaim,
        got,
        holds,
    }
}

/// What is found in such a trace.
struct Found {
    /// How far a planned gain is from that of the replay, at most.
    off: f64,
    slow: Vec<usize>,
    groups: Vec<Vec<i64>>,
}

impl TraceSpec {
    fn found(&self) -> Result<Found, Box<dyn Error>> {
        let trace = Trace::new(self.rows())?;
        let replay = Replay::of(&trace, None, SEED);
        let plan = Plan::new(Distribution::constant(Seconds::default()), 1, 1)?;
        let fleet = Fleet { plan, measured: Some(replay.clone()) };
        let choices = fixed_fleet(&fleet, self.machines, &Iterations::Inverse)?.choices;
        let all = choices[self.machines - 1].step_seconds;
        let off = replay.gains(MOST_BACKUPS, SEED).into_iter().map(|gain| {
            let planned = all / choices[gain.replicas_to_aggregate - 1].step_seconds;
            (planned / gain.faster - 1.0).abs()
        });
        let diagnosis = Diagnosis::of(&trace);
        let slow = diagnosis.slow();
        Ok(Found { off: off.fold(0.0, f64::max), slow, groups: diagnosis.groups })
    }

    fn rows(&self) -> Vec<Row> {
        let mut steps = Stream::of_updates(SEED);
        let mut streams: Vec<Stream> =
            (0..self.machines as u64).map(|it| Stream::of_replica(SEED, it)).collect();
        let mut noise = vec![0.0; self.machines];
        let mut rows = Vec::new();
        for step in 0..STEPS {
            let common = normal(&mut steps);
            for (machine, stream) in streams.iter_mut().enumerate() {
                let new = normal(stream) * (1.0 - self.lasts * self.lasts).sqrt();
                noise[machine] = self.lasts * noise[machine] + new;
                let slow = self.slow.filter(|slow| slow.0 == machine).map_or(1.0, |slow| slow.1);
                let is_together = machine < self.together && step % 100 >= 90;
                let log = self.noise * noise[machine] + self.common * common;
                let seconds = libm::exp(log) * slow * if is_together { 3.0 } else { 1.0 };
                let (step, replica) = (step as i64, machine as i64);
                rows.push(Row { step, replica, seconds, finished: true });
            }
        }
        rows
    }
}

/// A number of the standard normal distribution.
fn normal(stream: &mut Stream) -> f64 {
    let log_normal = Distribution::LogNormal { median: Seconds::ONE, sigma: Above::TWO };
    libm::log(log_normal.draw(stream)) / 2.0
}
