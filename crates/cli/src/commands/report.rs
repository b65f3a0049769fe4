//! The report of a run, drawn from its files: even of one without a result.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::Value;
use sync_replicas::checkpoint;
use sync_replicas::driver::printable;
use sync_replicas::record::SpanKind;
use tabular::scores::Scores;

use crate::args::ReportArgs;
use crate::error::Error;
use crate::pages::html_report;
use crate::run::folder;
use crate::run::folder::files::REPORT;
use crate::run::history::{History, spans};
use crate::run::metrics::Batches;
use crate::run::summary::{ReplicaSummary, Summary, story};
use crate::system::output;

/// Writes the pages of a run into its folder.
///
/// # Errors
/// When the files of the run are invalid, or the page cannot be written.
pub fn report(args: &ReportArgs, out: &mut dyn Write) -> Result<(), Error> {
    let root = folder_of(&args.run);
    let summary = draw(&args.run)?;
    let page = root.join(REPORT);
    let page = page.to_string_lossy();
    output::text(out, &format!("{}\nreport: {}\n", story(&summary), printable(&page)))
}

/// The folder of a run, given as such or as its file of metrics.
pub(crate) fn folder_of(run: &Path) -> &Path {
    if run.is_dir() { run } else { run.parent().unwrap_or(run) }
}

/// Draws what the files of a run tell, and returns its result.
pub(crate) fn draw(run: &Path) -> Result<Summary, Error> {
    let (mut history, root) = (History::read(run)?, folder_of(run));
    if let Some(life) = history.lives.last_mut() {
        life.spans = spans(&life.batches, &[]);
    }
    let summary = summary_of(root, &history);
    let run = history.lives.last().map(|life| life.run.clone()).unwrap_or_default();
    let settings = run.into_iter().filter(|(name, _)| name != "kind");
    let settings = settings.map(|(name, value)| (name, words(&value))).collect();
    html_report::write(root, &history, &summary, settings).map_err(Error::failed)?;
    Ok(summary)
}

/// The result of a run, so far or final.
pub(crate) fn summary_of(root: &Path, history: &History) -> Summary {
    history.result.clone().unwrap_or_else(|| so_far(root, history))
}

/// The state of a run without a result: it failed, was killed, or still trains.
fn so_far(root: &Path, history: &History) -> Summary {
    let last = history.lives.last();
    let updates = last.map_or(&[][..], |life| &life.updates);
    let run = |name: &str| last.and_then(|life| life.run.get(name)).map(words).unwrap_or_default();
    let tested = history.updates().filter(|update| update.scores != Scores::default()).last();
    let newest = checkpoint::latest(&folder::checkpoints_of(root)).ok().flatten();
    let mut replicas: BTreeMap<u64, ReplicaSummary> = BTreeMap::new();
    // Of a long run only some batches have a line, which are no counts.
    let all = last.map_or(&[][..], |life| &life.batches);
    let all = if Batches::has_all(all.len()) { all } else { &[] };
    for batch in all {
        let new = || ReplicaSummary { replica: batch.replica, ..ReplicaSummary::default() };
        let replica = replicas.entry(batch.replica).or_insert_with(new);
        let count = match batch.outcome {
            SpanKind::Accepted => &mut replica.accepted,
            SpanKind::Stale => &mut replica.stale,
            SpanKind::Duplicate => &mut replica.duplicates,
            SpanKind::NotFinite => &mut replica.non_finite,
            _ => &mut replica.superseded,
        };
        *count += 1;
        replica.compute_seconds += batch.computed - batch.start;
        replica.wait_seconds += batch.wait;
        replica.batches = replica.accepted + replica.stale + replica.duplicates;
    }
    let replicas: Vec<_> = replicas.into_values().collect();
    let sum = |of: fn(&ReplicaSummary) -> u64| replicas.iter().map(of).sum();
    Summary {
        model: run("model"),
        optimizer: run("optimizer"),
        scores: tested.map(|update| update.scores).unwrap_or_default(),
        averages_test_accuracy: tested.and_then(|update| update.averages_test_accuracy),
        loss: updates.last().and_then(|update| update.loss),
        updates: history.updates().last().map_or(0, |update| update.step.unsigned_abs()),
        updates_this_run: updates.len() as u64,
        batches: sum(|it| it.batches),
        examples: updates.iter().map(|update| update.examples).sum(),
        accepted: sum(|it| it.accepted),
        stale: sum(|it| it.stale),
        duplicates: sum(|it| it.duplicates),
        superseded: sum(|it| it.superseded),
        non_finite: sum(|it| it.non_finite),
        seconds: updates.last().map_or(0.0, |update| update.seconds),
        unfinished: true,
        tested_at: tested.map(|update| update.step),
        run_dir: root.display().to_string(),
        checkpoint: newest.map(|path| path.display().to_string()).unwrap_or_default(),
        replicas,
        ..Summary::default()
    }
}

/// A value as a person reads it.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
