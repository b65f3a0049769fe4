//! A run's `metrics.jsonl`, as what it tells about each machine.
//!
//! A batch that was given up is told apart from one that was finished: it would have taken longer.

use std::collections::BTreeMap;
use std::path::Path;

use simulator::Distribution;
use simulator::advice::{Measured, Observation};
use sync_replicas::record::SpanKind;

use crate::error::Error;
use crate::history::{History, Life};
use crate::metrics::Batch;

/// No run has more replicas.
const MOST: u64 = 1 << 16;

/// What a run tells.
pub(super) struct Run {
    /// A.
    pub(super) gradients: usize,
    /// Each replica's batches.
    pub(super) machines: Vec<Measured>,
    /// From the last gradient of a step to the first work on the next, for each step.
    updates: Vec<f64>,
}

pub(super) fn read(path: &Path) -> Result<Run, Error> {
    let history = History::read(path)?;
    let missing = |expected: String, remedy: &str| {
        Error::usage(format!("{}: expected {expected}, got none; {remedy}", path.display()))
    };
    let count = |life: &Life, name: &str| {
        life.run.get(name)?.as_u64().filter(|count| (1..=MOST).contains(count))
    };
    let counts_of =
        |life: &Life| count(life, "replicas_to_aggregate").zip(count(life, "total_num_replicas"));
    let counts = history.lives.last().and_then(counts_of);
    // Times with another A or N tell of other machines.
    let lives = || history.lives.iter().filter(|life| counts_of(life) == counts);
    let Some((gradients, total)) = counts else {
        let expected = "a line of kind run with replicas_to_aggregate and total_num_replicas";
        return Err(missing(expected.to_owned(), "train again with this version"));
    };
    let mut by_replica: BTreeMap<u64, Vec<Observation>> = BTreeMap::new();
    for batch in lives().flat_map(|life| &life.batches) {
        let finished = batch.outcome != SpanKind::Superseded;
        let observation = Observation { seconds: batch.computed - batch.start, finished };
        by_replica.entry(batch.replica).or_default().push(observation);
    }
    let machines: Vec<_> =
        (0..total).map(|id| by_replica.remove(&id).and_then(Measured::new)).collect();
    let Some(machines) = machines.iter().cloned().collect::<Option<Vec<_>>>() else {
        let id = machines.iter().position(Option::is_none).unwrap_or(0);
        let expected = format!("lines of kind batch for each of {total} replicas, also {id}");
        return Err(missing(expected, "train longer, until each has finished a batch"));
    };
    let updates = lives().flat_map(|life| updates(&life.batches)).collect();
    // More than there are machines makes no sense, and is refused by the planner.
    let gradients = usize::try_from(gradients).unwrap_or(usize::MAX);
    Ok(Run { gradients, machines, updates })
}

/// For each step the time from its last gradient that counted to the first work on the next one.
fn updates(batches: &[Batch]) -> Vec<f64> {
    let mut last: BTreeMap<i64, f64> = BTreeMap::new();
    let mut first: BTreeMap<i64, f64> = BTreeMap::new();
    for batch in batches {
        if batch.outcome == SpanKind::Accepted {
            let end = last.entry(batch.step).or_insert(0.0);
            *end = end.max(batch.computed);
        }
        let start = first.entry(batch.step).or_insert(f64::INFINITY);
        *start = start.min(batch.start);
    }
    let gap = |(step, end): (&i64, &f64)| Some((first.get(&(step + 1))? - end).max(0.0));
    last.iter().filter_map(gap).collect()
}

impl Run {
    /// For machines that were not measured: a plan must have one, though no question needs it.
    pub(super) fn usual(&self) -> Distribution {
        Distribution::constant(simulator::Seconds::default())
    }

    /// The distribution of the time between steps.
    pub(super) fn update(&self) -> Option<Distribution> {
        Distribution::samples(&self.updates).ok()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let begun: usize = self.machines.iter().map(Measured::begun).sum();
        let finished: usize = self.machines.iter().map(Measured::finished).sum();
        let mut notes = vec![format!(
            "{} replicas began {begun} batches and finished {finished}",
            self.machines.len()
        )];
        for (replica, machine) in self.machines.iter().enumerate() {
            if 2 * machine.finished() < machine.begun() {
                notes.push(format!(
                    "replica {replica} finished only {} of {} batches: what is said of steps that \
                     need it rests on those few, or is a lower bound (≥); train once without \
                     backups, with -a {n} -n {n}, to know more",
                    machine.finished(),
                    machine.begun(),
                    n = self.machines.len()
                ));
            }
        }
        notes
    }
}
