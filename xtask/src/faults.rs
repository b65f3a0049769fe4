//! `cargo xtask faults`: real processes are killed and stopped at named points of a training.
//!
//! Builds the program with its crash points, trains once without faults, then once for each point
//! and signal, and compares: the training must end in time, with the same bits, as
//! `docs/faults.md` says, and leave nothing behind. Several trainings run side by side, since they
//! mostly wait.

mod cluster;
mod points;
mod scenario;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use std::{fs, thread};

use xshell::Shell;

use self::cluster::Binaries;
use self::points::Outcome;
use self::scenario::{Job, SAVE_EVERY, Scenario};
use self::verdict::Truth;
use crate::{Result, flags, programs::Programs, workspace::Workspace};

/// Trainings at once beyond the number of processors.
const BEYOND: usize = 1;

/// One training's row of the summary.
struct Row {
    name: String,
    error: Option<String>,
}

/// Does what the command line asks for, and gives whether all went as it should.
///
/// # Errors
/// When the command line makes no sense, or the program cannot be built or run without faults.
pub(crate) fn run(sh: &Shell, flags: &flags::Faults) -> Result<bool> {
    let scenarios = match (&flags.seeds, flags.smoke) {
        (None, false) => scenario::all(flags.filter.as_deref())?,
        (None, true) => scenario::smoke(),
        (Some(seeds), _) => range(seeds)?.map(scenario::random).collect(),
    };
    let target = Workspace::load(sh)?.target_dir;
    let root = target.join("faults");
    sh.remove_path(&root)?;
    let programs = build(sh, &root)?;
    let harness = Harness::new(programs, root, &scenarios)?;

    let begun = Instant::now();
    let rows = harness.play_all(&scenarios);
    let failed = rows.iter().filter(|row| row.error.is_some()).count();
    println!("\n{} trainings in {:.0} s", rows.len(), begun.elapsed().as_secs_f64());
    for Row { name, error, .. } in &rows {
        if let Some(error) = error {
            println!("{name}: {error}");
        }
    }
    println!("{} passed, {failed} failed", rows.len() - failed);
    Ok(failed == 0)
}

/// The smoke set, as a step of `ci`.
///
/// # Errors
/// When a training did not come to what it should have.
pub(crate) fn smoke(sh: &Shell) -> Result {
    let flags = flags::Faults { filter: None, seeds: None, smoke: true };
    if run(sh, &flags)? { Ok(()) } else { Err("a fault was not borne".into()) }
}

/// The programs with crash points, put aside so that another build does not replace them.
fn build(sh: &Shell, root: &Path) -> Result<Binaries> {
    let programs = Programs::build(sh)?;
    sh.create_dir(root)?;
    let aside = |built: &Path| -> Result<PathBuf> {
        let program = root.join(built.file_name().ok_or("a program has no name")?);
        fs::copy(built, &program)?;
        Ok(program)
    };
    let launcher = aside(programs.named("sync-replicas")?)?;
    Ok(Binaries { launcher, tables: aside(programs.example("cli", "table_model")?)? })
}

pub(crate) fn range(text: &str) -> Result<Range<u64>> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    parsed.ok_or_else(|| format!("expected --seeds as A..B, got {text:?}").into())
}

/// What every training of a call needs.
struct Harness {
    programs: Binaries,
    root: PathBuf,
    /// Results without faults, by job, A and the number of updates.
    truths: Mutex<BTreeMap<(Job, u64, i64), Truth>>,
}

impl Harness {
    fn new(programs: Binaries, root: PathBuf, scenarios: &[Scenario]) -> Result<Self> {
        let harness = Self { programs, root, truths: Mutex::default() };
        for (job, aggregate) in
            scenarios.iter().map(|it| (it.job, it.aggregate)).collect::<BTreeSet<_>>()
        {
            harness.truth(job, aggregate, scenario::UPDATES)?;
        }
        Ok(harness)
    }

    /// What so many updates come to without faults.
    fn truth(&self, job: Job, aggregate: u64, updates: i64) -> Result<Truth> {
        // Held while one is made, so that each is made once.
        let mut truths = self.truths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(truth) = truths.get(&(job, aggregate, updates)) {
            return Ok(truth.clone());
        }
        let folder = self.root.join(format!("without-faults-{job:?}-{aggregate}-{updates}"));
        let (name, crashes) = (String::new(), Vec::new());
        let scenario =
            Scenario { name, job, aggregate, save_every: SAVE_EVERY, crashes, expected: None };
        let ended = cluster::run(&self.programs, &folder, &scenario, updates)?;
        let truth = verdict::truth(&folder, job, &ended, updates)?;
        truths.insert((job, aggregate, updates), truth.clone());
        Ok(truth)
    }

    /// All of them, several at once; their rows in order.
    fn play_all(&self, scenarios: &[Scenario]) -> Vec<Row> {
        let threads = thread::available_parallelism().map_or(1, usize::from) + BEYOND;
        let next = AtomicUsize::new(0);
        let work = || {
            let mut rows = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(scenario) = scenarios.get(place) else { return rows };
                rows.push((place, self.play(place, scenario)));
            }
        };
        let mut rows = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let rows = threads.into_iter().filter_map(|it| it.join().ok());
            rows.flatten().collect::<Vec<_>>()
        });
        rows.sort_by_key(|(place, _)| *place);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// One training, whose folder stays when it was not as it should be.
    fn play(&self, place: usize, scenario: &Scenario) -> Row {
        let folder = self.root.join(format!("{place:05}"));
        let begun = Instant::now();
        let Scenario { job, aggregate, .. } = *scenario;
        let result = cluster::run(&self.programs, &folder, scenario, scenario::UPDATES);
        let result = result.and_then(|ended| match scenario.expected {
            Some(Outcome::Ends) => {
                let updates = verdict::interrupted(&folder, scenario, &ended)?;
                // Nothing can be trained to no update.
                let truth = (updates > 0).then(|| self.truth(job, aggregate, updates));
                truth.map_or(Ok(()), |truth| verdict::same(&folder, job, &ended, updates, &truth?))
            }
            Some(Outcome::Fails) => verdict::failed(scenario, &ended),
            _ => {
                let truth = self.truth(job, aggregate, scenario::UPDATES)?;
                verdict::judge(&folder, scenario, &ended, &truth)
            }
        });
        let took = begun.elapsed().as_secs_f64();
        let name = scenario.name.clone();
        match result {
            Ok(()) => {
                println!("passed {took:5.1} s  {name}");
                let _ = fs::remove_dir_all(&folder);
                Row { name, error: None }
            }
            Err(error) => {
                println!("FAILED {took:5.1} s  {name}: {error}");
                let error = format!("{error}; its files are in {}", folder.display());
                Row { name, error: Some(error) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
