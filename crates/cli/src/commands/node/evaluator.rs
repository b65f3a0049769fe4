//! The evaluator: it tests every new checkpoint of a training that it has no part in.
//!
//! It asks no server and holds no replica's place, so training neither waits for it nor ends with
//! it. Invariant: it ends, with the training or because no checkpoint came for too long; it makes
//! no folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster::exit::Exit;
use sync_replicas::checkpoint::{self, TrainingState};

use super::ended::Ended;
use super::pauses::Pauses;
use super::process::Process;
use crate::error::Error;
use crate::run::best::Best;
use crate::run::folder::RunFolder;
use crate::run::folder::files::TESTS;
use crate::run::metrics::{Evaluation, Metrics, unwritten};
use crate::run::summary::headline;
use crate::run::table_rows::TableRows;
use crate::run::tester::{Source, Tester};
use crate::system::output::say;

/// The time between two checks of the folder, which may be a network's and announces no changes.
const LOOK: Duration = Duration::from_millis(500);

/// Tests every checkpoint that it can until training is over, or until it is asked to end.
pub(super) fn run(process: &Process) -> Result<Ended, Error> {
    let settings = &process.settings;
    let output = &settings.output;
    if output.out.is_none() && output.checkpoint_dir.is_none() {
        let needed =
            "an evaluator tests checkpoints: give --out or --checkpoint-dir of the training";
        return Err(Error::usage(needed));
    }
    let pauses = Pauses::new(process)?;
    let tester = Tester::new(settings, Source::Newest(TableRows::Elsewhere));
    let best = output.keep_best.zip(output.out.as_deref());
    let mut best = best.map(|(measure, out)| Best::new(out, measure));
    let (mut known, mut lines, mut since) = (BTreeSet::new(), None, Instant::now());
    loop {
        // The training may not have made it yet.
        let folder = RunFolder::look(settings)?;
        let mut over = folder.has_ended();
        for (key, state) in newer(&folder, &known)? {
            let evaluated = tester.evaluate(&key.0, &state).map_err(Error::failed)?;
            let Some(evaluation) = evaluated else { continue };
            // Before the line, by which others know that this was done.
            let keep = |folder: &Path| checkpoint::write(folder, &state, 1);
            let kept = best.as_mut().map(|best| best.take(&evaluation, None, keep));
            if let Some(Err(error)) = kept {
                say(error);
            }
            if lines.is_none() {
                // Without a run folder it is beside the checkpoints.
                let root = output.out.as_deref().unwrap_or_else(|| folder.checkpoints());
                let file = root.join(TESTS[1]);
                lines = Some(Metrics::append(&file).map_err(unwritten)?);
            }
            if let Some(lines) = &mut lines {
                lines.add("evaluation", &evaluation);
                lines.flush().map_err(unwritten)?;
            }
            if !output.quiet {
                say(format!("update {}  {}", evaluation.step, words(&evaluation)));
            }
            over |= evaluation.step.unsigned_abs() >= settings.length.updates;
            known.insert(key);
            since = Instant::now();
        }
        if over {
            return Ok(Ended::Over(None));
        }
        if since.elapsed() >= process.patience {
            let (folder, seconds) =
                (folder.checkpoints().display(), process.patience.as_secs_f64());
            let none =
                format!("no new checkpoint came to {folder} within {seconds:.0} s (--patience)");
            return Err(Error::new(Exit::Restart, none));
        }
        if pauses.pause(LOOK) {
            return Ok(Ended::Left);
        }
    }
}

/// A checkpoint by its place and its generation: a later life writes the same step anew.
type Key = (PathBuf, u64);

/// The new checkpoints, the oldest first.
fn newer(
    folder: &RunFolder,
    known: &BTreeSet<Key>,
) -> Result<Vec<(Key, TrainingState<f32>)>, Error> {
    let mut found = Vec::new();
    for path in checkpoint::all(folder.checkpoints())? {
        match checkpoint::open::<f32>(&path) {
            Ok(state) => {
                let key = (path, state.generation.get());
                if !known.contains(&key) {
                    found.push((key, state));
                }
            }
            // An old one is removed when a newer one is written, also while it is read.
            Err(_) if !path.exists() => {}
            Err(error) => return Err(Error::failed(error)),
        }
    }
    Ok(found)
}

fn words(evaluation: &Evaluation) -> String {
    let mut words = match headline(&evaluation.scores) {
        Some((name, value)) => format!("test {name} {value}"),
        None => "test".to_owned(),
    };
    if let Some(averages) = evaluation.averages_test_accuracy {
        words += &format!(", of the averages {:.2} %", 100.0 * averages);
    }
    words
}
