//! Whether a training came to what it should have, by what it said and what lies on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cluster::{Ended, UPDATES};
use super::points::Outcome;
use super::scenario::{Scenario, Signal};
use crate::Result;

/// The result of a training without faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Truth {
    /// Of the variables, as the chief has them.
    sha256: String,
    /// Variables and optimizer, as the checkpoint of the last step has them, if there is one.
    tensors: Option<Vec<u8>>,
    generation: u64,
}

/// What a training came to.
///
/// # Errors
/// When it failed, ended early, or left a checkpoint that is not whole.
pub(super) fn truth(folder: &Path, ended: &Ended) -> Result<Truth> {
    if !ended.status.success() {
        return Err(format!("the launcher ended with {}", ended.status).into());
    }
    let last = ended.out.lines().last().unwrap_or_default();
    let summary: Value = serde_json::from_str(last)
        .map_err(|error| format!("expected a result as JSON, got {last:?}: {error}"))?;
    if summary["updates"] != UPDATES {
        return Err(format!("expected {UPDATES} updates, got {}", summary["updates"]).into());
    }
    let sha256 = summary["variables_sha256"].as_str().unwrap_or_default().to_owned();
    let mut newest = None;
    for checkpoint in checkpoints(&folder.join("run/checkpoint"))? {
        newest = newest.max(Some(whole(&checkpoint)?));
    }
    match newest {
        Some((step, generation, tensors)) => {
            let tensors = (step == UPDATES).then_some(tensors);
            Ok(Truth { sha256, tensors, generation })
        }
        None => Err("expected a checkpoint, got none".into()),
    }
}

/// Compares a training with one that had no faults.
///
/// # Errors
/// In words, what is wrong.
pub(super) fn judge(folder: &Path, scenario: &Scenario, ended: &Ended, expected: &Truth) -> Result {
    let got = truth(folder, ended)?;
    if got.sha256 != expected.sha256 {
        return Err("the chief's variables are not those of a run without faults".into());
    }
    // The one loss that is documented: the first server dies between the end and its last write.
    let writer = scenario.crashes.iter().zip(&ended.struck);
    let mut writer = writer.filter(|(crash, struck)| **struck && crash.process == "ps-0");
    let excused = scenario.expected.is_none()
        && got.tensors.is_none()
        && writer.any(|(crash, _)| crash.signal == Signal::Kill);
    if got.tensors != expected.tensors && !excused {
        return Err("the last checkpoint is not that of a run without faults".into());
    }
    // Of random crashes some have no turn.
    let Some(outcome) = scenario.expected else { return Ok(()) };
    let mut crashes = scenario.crashes.iter().zip(&ended.struck);
    if let Some((crash, _)) = crashes.find(|(_, struck)| !**struck) {
        return Err(format!("no process came to {}", crash.to_variable()).into());
    }
    let (known, now) = (expected.generation, got.generation);
    let fits = match outcome {
        Outcome::Continues | Outcome::Over => now == known,
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
    let killed = scenario.crashes.iter().filter(|crash| crash.signal == Signal::Kill);
    for name in killed.map(|crash| crash.process_words()) {
        let told = format!("{name}: was ended by signal 9; it is started again");
        if !ended.err.contains(&told) {
            return Err(format!("expected {told:?} on standard error").into());
        }
    }
    Ok(())
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

/// Step, generation and tensors of a checkpoint, of which nothing may be missing.
fn whole(path: &Path) -> Result<(i64, u64, Vec<u8>)> {
    let torn = |what: &str| format!("{}: {what}", path.display());
    let manifest = fs::read(path.join("manifest.json")).map_err(|_| torn("no manifest"))?;
    let manifest: Value = serde_json::from_slice(&manifest).map_err(|_| torn("a torn manifest"))?;
    let manifest = &manifest["manifest"];
    let tensors = fs::read(path.join("tensors.safetensors")).map_err(|_| torn("no tensors"))?;
    if manifest["tensors_bytes"] != tensors.len() {
        return Err(torn("torn tensors").into());
    }
    let numbers = &manifest["numbers"];
    let step = numbers["global_step"].as_i64();
    let generation = numbers["generation"].as_u64();
    match step.zip(generation) {
        Some((step, generation)) => Ok((step, generation, tensors)),
        None => Err(torn("a manifest without step and generation").into()),
    }
}
