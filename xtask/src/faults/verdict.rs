//! Whether a training came to what it should have, by what it said and what lies on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::cluster::Ended;
use super::points::Outcome;
use super::scenario::{Job, Scenario, Signal, UPDATES};
use crate::Result;

/// The result of a training without faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Truth {
    /// Of the variables, as the chief has them, or the words of its program.
    said: String,
    /// Variables, rows and optimizer, as the checkpoint of the last step has them, if there is one.
    saved: Option<Vec<u8>>,
    generation: u64,
}

/// The chief's result.
struct Told {
    updates: i64,
    said: String,
    /// `None` where it does not say.
    interrupted: Option<bool>,
}

/// The newest checkpoint.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Newest {
    step: i64,
    generation: u64,
    /// All of its files, save the manifest.
    bytes: Vec<u8>,
    has_rows: bool,
}

/// What a training of so many updates came to.
///
/// # Errors
/// When it failed, ended early, or left a checkpoint that is not whole.
pub(super) fn truth(folder: &Path, job: Job, ended: &Ended, updates: i64) -> Result<Truth> {
    let told = told(job, ended)?;
    if told.updates != updates {
        return Err(format!("expected {updates} updates, got {}", told.updates).into());
    }
    let Newest { step, generation, bytes, has_rows } = newest(folder)?;
    if has_rows != (job == Job::Tables) {
        return Err(format!("it is untrue that the last checkpoint has rows: {has_rows}").into());
    }
    Ok(Truth { said: told.said, saved: (step == updates).then_some(bytes), generation })
}

/// What the chief said at the end.
fn told(job: Job, ended: &Ended) -> Result<Told> {
    // 130 is that of a training which an interrupt ended; one may come too late.
    let interrupted = ended.ending.is_some() && ended.status.code() == Some(130);
    if !ended.status.success() && !interrupted {
        return Err(format!("the launcher ended with {}", ended.status).into());
    }
    let last = ended.out.lines().last().unwrap_or_default();
    let told = match job {
        Job::Digits => serde_json::from_str(last).ok().map(|summary: Value| Told {
            updates: summary["updates"].as_i64().unwrap_or(-1),
            said: summary["variables_sha256"].as_str().unwrap_or_default().to_owned(),
            interrupted: summary["interrupted"].as_bool(),
        }),
        Job::Tables => last.strip_prefix("step ").and_then(|rest| {
            let updates = rest.split_once(':')?.0.parse().ok()?;
            Some(Told { updates, said: last.to_owned(), interrupted: None })
        }),
    };
    told.ok_or_else(|| format!("expected a result of {job:?}, got {last:?}").into())
}

/// How many updates an interrupted training made, by its own words.
///
/// # Errors
/// When it did not end well and soon, or left another step on disk than the one that it tells of.
pub(super) fn interrupted(folder: &Path, scenario: &Scenario, ended: &Ended) -> Result<i64> {
    let Told { updates, interrupted, .. } = told(scenario.job, ended)?;
    all_struck(scenario, ended)?;
    match ended.ending {
        Some(took) if took <= SOON => {}
        took => return Err(format!("expected an end within {SOON:?}, got {took:?}").into()),
    }
    let step = newest(folder)?.step;
    if step != updates {
        return Err(format!("it tells of {updates} updates, and saved {step}").into());
    }
    if let Some(said) = interrupted.filter(|said| *said != (updates < UPDATES)) {
        return Err(format!("interrupted: {said} is untrue after {updates} updates").into());
    }
    Ok(updates)
}

/// How soon a training ends that was interrupted, whatever it was about.
const SOON: Duration = Duration::from_secs(10);

/// Whether a training failed before anybody was served, and said why.
///
/// # Errors
/// In words, what it did instead.
pub(super) fn failed(scenario: &Scenario, ended: &Ended) -> Result {
    all_struck(scenario, ended)?;
    let said = "the first checkpoint was not written";
    if ended.status.code() != Some(1) || !ended.err.contains(said) {
        return Err(format!("expected status 1 and {said:?}, got {}", ended.status).into());
    }
    Ok(())
}

/// Compares a training with one that had no faults.
///
/// # Errors
/// In words, what is wrong.
pub(super) fn judge(folder: &Path, scenario: &Scenario, ended: &Ended, expected: &Truth) -> Result {
    let got = truth(folder, scenario.job, ended, UPDATES)?;
    if got.said != expected.said {
        return Err("the chief's variables are not those of a run without faults".into());
    }
    // The one loss that is documented: the first server dies between the end and its last write.
    let writer = scenario.crashes.iter().zip(&ended.struck);
    let mut writer = writer.filter(|(crash, struck)| **struck && crash.process == "ps-0");
    let excused = scenario.expected.is_none()
        && got.saved.is_none()
        && writer.any(|(crash, _)| crash.signal == Signal::Kill);
    if got.saved != expected.saved && !excused {
        return Err("the last checkpoint is not that of a run without faults".into());
    }
    // Of random crashes some have no turn.
    let Some(outcome) = scenario.expected else { return Ok(()) };
    all_struck(scenario, ended)?;
    let (known, now) = (expected.generation, got.generation);
    let fits = match outcome {
        Outcome::Continues | Outcome::Over | Outcome::Fails | Outcome::Ends => now == known,
        Outcome::Restores => now > known,
        Outcome::StartsAgain => now >= known,
    };
    if !fits {
        let word = outcome.word();
        return Err(format!("expected `{word}`, got generation {now} after {known}").into());
    }
    if outcome == Outcome::Over {
        return Ok(());
    }
    let hung = scenario.crashes.iter().any(|crash| matches!(crash.signal, Signal::Hang(_)));
    let told = || fs::read_to_string(folder.join("run/logs/ps-0.log")).unwrap_or_default();
    if hung && !told().contains("step timeout") {
        return Err("expected a warning that a token went to another, got none".into());
    }
    let killed = scenario.crashes.iter().filter(|crash| crash.signal == Signal::Kill);
    for name in killed.map(|crash| crash.process_words()) {
        let told = format!("{name}: was ended by signal 9; it is started again");
        if !ended.err.contains(&told) {
            return Err(format!("expected {told:?} on standard error").into());
        }
    }
    Ok(())
}

/// Whether an interrupted training has the bits of one that was to make so many updates.
///
/// # Errors
/// In words, what differs.
pub(super) fn same(
    folder: &Path,
    job: Job,
    ended: &Ended,
    updates: i64,
    expected: &Truth,
) -> Result {
    let got = truth(folder, job, ended, updates)?;
    if (&got.said, &got.saved) != (&expected.said, &expected.saved) {
        return Err(format!("it has not the bits of {updates} updates without faults").into());
    }
    Ok(())
}

fn all_struck(scenario: &Scenario, ended: &Ended) -> Result {
    let mut crashes = scenario.crashes.iter().zip(&ended.struck);
    match crashes.find(|(_, struck)| !**struck) {
        Some((crash, _)) => Err(format!("no process came to {}", crash.to_variable()).into()),
        None => Ok(()),
    }
}

/// The newest checkpoint, where all are whole.
fn newest(folder: &Path) -> Result<Newest> {
    let mut newest = None;
    for checkpoint in checkpoints(&folder.join("run/checkpoint"))? {
        newest = newest.max(Some(whole(&checkpoint)?));
    }
    newest.ok_or_else(|| "expected a checkpoint, got none".into())
}

/// Whatever a restore would look at: checkpoints, and those that lie aside while one is replaced.
fn checkpoints(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let aside = name.strip_prefix('.').is_some_and(|name| name.ends_with(".old"));
        if name.starts_with("checkpoint-") || aside {
            found.push(path);
        }
    }
    Ok(found)
}

/// A checkpoint of which nothing may be missing.
fn whole(path: &Path) -> Result<Newest> {
    let torn = |what: &str| format!("{}: {what}", path.display());
    let manifest = fs::read(path.join("manifest.json")).map_err(|_| torn("no manifest"))?;
    let manifest: Value = serde_json::from_slice(&manifest).map_err(|_| torn("a torn manifest"))?;
    let manifest = &manifest["manifest"];
    let numbers = &manifest["numbers"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let rows: Vec<_> = list(&numbers["tables"]).iter().flat_map(|it| list(&it["files"])).collect();
    let (mut bytes, has_rows) = (Vec::new(), !rows.is_empty());
    for file in list(&manifest["files"]).iter().chain(&rows) {
        let name = file["name"].as_str().unwrap_or_default();
        let content = fs::read(path.join(name)).map_err(|_| torn(&format!("no {name}")))?;
        if file["bytes"] != content.len() {
            return Err(torn(&format!("a torn {name}")).into());
        }
        bytes.extend(content);
    }
    let step = numbers["global_step"].as_i64();
    let generation = numbers["generation"].as_u64();
    match step.zip(generation) {
        Some((step, generation)) => Ok(Newest { step, generation, bytes, has_rows }),
        None => Err(torn("a manifest without step and generation").into()),
    }
}
