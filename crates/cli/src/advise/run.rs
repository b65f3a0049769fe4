//! A run's `metrics.jsonl`, as what it tells about each machine.
//!
//! A batch that was given up is told apart from one that was finished: it would have taken longer.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use simulator::Law;
use simulator::advice::{Measured, Observation};

/// Why a run tells nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The file cannot be read.
    #[error("{} cannot be read: {error}; give the run folder that `train` wrote", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line is not what it should be.
    #[error(
        "{}, line {line}: expected a JSON object of kind run, update, restore, batch or result; \
         {problem}",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why not.
        problem: String,
    },
    /// Something that planning needs is not there.
    #[error("{}: expected {expected}, got none; {remedy}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is missing.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// What a run tells.
pub(super) struct Run {
    /// A.
    pub(super) gradients: usize,
    /// Each replica's batches.
    pub(super) machines: Vec<Measured>,
    /// From the last gradient of a step to the first work on the next, for each step.
    updates: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Run { replicas_to_aggregate: Option<usize>, total_num_replicas: Option<usize> },
    Batch(Batch),
    Restore { step: i64 },
    Update {},
    Result {},
}

#[derive(Deserialize)]
struct Batch {
    /// Which start of the run it is of: each counts its seconds anew.
    #[serde(skip)]
    life: u64,
    replica: u64,
    step: i64,
    start: f64,
    computed: f64,
    outcome: String,
}

pub(super) fn read(path: &Path) -> Result<Run, RunError> {
    let file = if path.is_dir() { path.join("metrics.jsonl") } else { path.to_owned() };
    let text =
        fs::read_to_string(&file).map_err(|error| RunError::Read { path: file.clone(), error })?;
    let (mut counts, mut life) = (None, 0);
    let mut batches: Vec<Batch> = Vec::new();
    // What has no end was cut off with its process.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for (number, line) in whole.lines().enumerate() {
        let bad =
            |problem: String| RunError::Line { path: file.clone(), line: number + 1, problem };
        match serde_json::from_str(line).map_err(|error| bad(error.to_string()))? {
            Line::Run { replicas_to_aggregate: Some(a), total_num_replicas: Some(n) } => {
                counts = Some((a, n));
                life += 1;
            }
            // What was taken back was made again.
            Line::Restore { step } => batches.retain(|batch| batch.step < step),
            Line::Batch(batch) => {
                let times = batch.start >= 0.0 && batch.computed >= batch.start;
                if !times || batch.computed > 1e9 {
                    let (from, to) = (batch.start, batch.computed);
                    return Err(bad(format!("a batch cannot last from {from} to {to} seconds")));
                }
                batches.push(Batch { life, ..batch });
            }
            _ => {}
        }
    }
    let missing = |expected: String, remedy| RunError::Missing { path: file, expected, remedy };
    let Some((gradients, total)) = counts.filter(|counts| counts.0 > 0 && counts.1 > 0) else {
        let expected = "a line of kind run with replicas_to_aggregate and total_num_replicas";
        return Err(missing(expected.to_owned(), "train again with this version"));
    };
    let mut by_replica: BTreeMap<u64, Vec<Observation>> = BTreeMap::new();
    for batch in &batches {
        let finished = batch.outcome != "superseded";
        let observation = Observation { seconds: batch.computed - batch.start, finished };
        by_replica.entry(batch.replica).or_default().push(observation);
    }
    let machines: Vec<_> =
        (0..total as u64).map(|id| by_replica.remove(&id).and_then(Measured::new)).collect();
    let Some(machines) = machines.iter().cloned().collect::<Option<Vec<_>>>() else {
        let id = machines.iter().position(Option::is_none).unwrap_or(0);
        let expected = format!("lines of kind batch for each of {total} replicas, also {id}");
        return Err(missing(expected, "they are written at the end of a run: train longer"));
    };
    Ok(Run { gradients, machines, updates: updates(&batches) })
}

/// For each step the time from its last gradient that counted to the first work on the next one.
fn updates(batches: &[Batch]) -> Vec<f64> {
    let mut last: BTreeMap<(u64, i64), f64> = BTreeMap::new();
    let mut first: BTreeMap<(u64, i64), f64> = BTreeMap::new();
    for batch in batches {
        let step = (batch.life, batch.step);
        if batch.outcome == "accepted" {
            let end = last.entry(step).or_insert(0.0);
            *end = end.max(batch.computed);
        }
        let start = first.entry(step).or_insert(f64::INFINITY);
        *start = start.min(batch.start);
    }
    let gap = |(&(life, step), end): (&(u64, i64), &f64)| {
        Some((first.get(&(life, step + 1))? - end).max(0.0))
    };
    last.iter().filter_map(gap).collect()
}

impl Run {
    /// A law for machines that were not measured: no question needs one, but a plan has one.
    pub(super) fn usual(&self) -> Law {
        Law::constant(simulator::Seconds::default())
    }

    /// The law of the time between steps.
    pub(super) fn update(&self) -> Option<Law> {
        Law::samples(&self.updates).ok()
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
