//! A run's `metrics.jsonl`, as evidence about each machine.
//!
//! A batch that was given up is distinguished from a finished one: it would have taken longer.

use std::collections::BTreeMap;
use std::path::Path;

use simulator::Distribution;
use simulator::advice::{Measured, Row, Trace};
use sync_replicas::record::{Cursor, SpanKind};

use super::words::count;
use crate::args::SecurityArgs;
use crate::commands::status;
use crate::error::Error;
use crate::run::history::{History, Life};
use crate::run::metrics::{Batch, Batches};

/// No run has more replicas.
const MOST: u64 = 1 << 16;

/// The evidence of a run.
pub(super) struct Run {
    /// A, the gradients that a step needs.
    pub(super) gradients: usize,
    /// N; some of them may have no batch.
    total: u64,
    /// How long each replica took in each step.
    pub(super) trace: Trace,
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
    // Of a program of a user's own the launcher knows only the workers and the backups.
    let launched = |life: &Life| {
        let (total, backup) = (count(life, "workers")?, count(life, "backup").unwrap_or(0));
        Some((total.checked_sub(backup).filter(|needed| *needed > 0)?, total))
    };
    let counts_of = |life: &Life| {
        let counts = count(life, "replicas_to_aggregate").zip(count(life, "total_num_replicas"));
        counts.or_else(|| launched(life))
    };
    let counts = history.lives.last().and_then(counts_of);
    let Some((gradients, total)) = counts else {
        let expected = "a line of kind run with replicas_to_aggregate and total_num_replicas";
        return Err(missing(expected.to_owned(), "train again with this version"));
    };
    // Times with another A or N tell of other machines.
    let lives = history.lives.iter().filter(|life| counts_of(life) == counts);
    Run::of(lives.map(|life| life.batches.as_slice()), gradients, total).ok_or_else(|| {
        let expected = format!("lines of kind batch for each of {total} replicas");
        missing(expected, "train longer, until each has finished a batch")
    })
}

/// What a training that is running tells, as far as its parameter server 0 has kept it.
pub(super) fn ask(address: &str, security: &SecurityArgs) -> Result<Run, Error> {
    let (status, recorded) = status::ask(address, security, async |connector| {
        let status = cluster::status(connector, 0).await?;
        Ok((status, cluster::record(connector, Cursor::default()).await?))
    })?;
    let early = || Error::failed(format!("{address} has recorded no batch yet; ask again later"));
    let it = status.coordinator.ok_or_else(early)?;
    let (gradients, total) = (it.replicas_to_aggregate as u64, it.total_num_replicas as u64);
    let batches = Batches::default().of(&recorded.news.spans);
    Run::of(std::iter::once(batches.as_slice()), gradients, total).ok_or_else(early)
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
    /// The evidence of batches, one life after the other, where A of N replicas make a step; `None`
    /// if there are none.
    pub(super) fn of<'b>(
        lives: impl Iterator<Item = &'b [Batch]> + Clone,
        gradients: u64,
        total: u64,
    ) -> Option<Self> {
        let batches = lives.clone().flatten().filter(|batch| batch.replica < total);
        let rows = batches.filter_map(|batch| {
            Some(Row {
                step: batch.step,
                replica: i64::try_from(batch.replica).ok()?,
                seconds: batch.computed - batch.start,
                finished: batch.outcome != SpanKind::Superseded,
            })
        });
        let mut rows: Vec<Row> = rows.collect();
        // A replica may compute several batches for a step: the first began with those of others.
        rows.sort_by_key(|row| (row.step, row.replica));
        rows.dedup_by_key(|row| (row.step, row.replica));
        Some(Self {
            // More than there are machines is invalid, and the planner refuses it.
            gradients: usize::try_from(gradients).unwrap_or(usize::MAX),
            total,
            trace: Trace::new(rows).ok()?,
            updates: lives.flat_map(updates).collect(),
        })
    }

    /// The distribution of the time between steps.
    pub(super) fn update(&self) -> Option<Distribution> {
        Distribution::samples(&self.updates).ok()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let machines = self.trace.machines();
        let begun: usize = machines.iter().map(Measured::begun).sum();
        let finished: usize = machines.iter().map(Measured::finished).sum();
        let mut notes = vec![format!(
            "{} began {} and finished {finished}",
            count(machines.len(), "replica"),
            batches(begun)
        )];
        match self.total - machines.len() as u64 {
            0 => {}
            absent => notes.push(format!(
                "of {} replicas {absent} {} no batch: nothing is said of {}",
                self.total,
                if absent == 1 { "has" } else { "have" },
                if absent == 1 { "it" } else { "them" }
            )),
        }
        for (replica, machine) in self.trace.replicas().iter().zip(&machines) {
            if 2 * machine.finished() < machine.begun() {
                notes.push(format!(
                    "replica {replica} finished only {} of {} batches: what is said of steps that \
                     need it rests on those few, or is a lower bound (≥); train once without \
                     backups, with -a {n} -n {n}, to know more",
                    machine.finished(),
                    machine.begun(),
                    n = self.total
                ));
            }
        }
        notes
    }
}

/// `1 batch`, `2 batches`.
fn batches(number: usize) -> String {
    format!("{number} batch{}", if number == 1 { "" } else { "es" })
}
