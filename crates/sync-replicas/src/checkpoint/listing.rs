//! Which checkpoints a folder has, the newest first.
//!
//! Newest means the highest generation, then the highest step (P-24): a run that went back counts
//! on from there. The names tell the step, the manifests the rest.

use std::fs;
use std::path::{Path, PathBuf};

use engine::Generation;

use super::manifest::{MANIFEST, Manifest, TENSORS};
use super::{CheckpointError, RunId};

pub(super) const PREFIX: &str = "checkpoint-";

/// One checkpoint of a folder, by its manifest.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) step: i64,
    pub(super) path: PathBuf,
    pub(super) head: Result<Head, CheckpointError>,
}

/// What a manifest says of its place among others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) generation: Generation,
    /// `None` of a version that had no identities.
    pub(super) run: Option<RunId>,
}

impl Entry {
    /// An unreadable one comes before all others: it may be the newest.
    fn rank(&self) -> (bool, Generation, i64) {
        let generation = self.head.as_ref().map(|head| head.generation);
        (generation.is_err(), generation.unwrap_or_default(), self.step)
    }
}

/// The checkpoints in a folder, the newest first; those whose manifest is no good before them.
///
/// # Errors
/// [`CheckpointError::Io`], even for a manifest that is there and cannot be read.
pub(super) fn list(folder: &Path) -> Result<Vec<Entry>, CheckpointError> {
    let mut found: Vec<(i64, bool, PathBuf)> = Vec::new();
    let listed = fs::read_dir(folder).map_err(CheckpointError::io("listing", folder))?;
    for entry in listed {
        let path = entry.map_err(CheckpointError::io("listing", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Of a crash between the two renames that replace a checkpoint, the old one is left aside.
        let aside = name.strip_prefix('.').and_then(|name| name.strip_suffix(".old"));
        let step = aside.unwrap_or(name).strip_prefix(PREFIX).and_then(|n| n.parse().ok());
        let used = || [MANIFEST, TENSORS].iter().any(|file| path.join(file).exists());
        if let Some(step) = step.filter(|_| used()) {
            found.push((step, aside.is_none(), path));
        }
    }
    // The one aside counts only where there is none in its place.
    found.sort();
    found.reverse();
    found.dedup_by_key(|(step, ..)| *step);
    let mut entries = Vec::with_capacity(found.len());
    for (step, _, path) in found {
        match head(&path) {
            // Rotation has removed it since it was listed.
            Err(_) if !path.is_dir() => {}
            Err(error) if !error.is_damage() => return Err(error),
            head => entries.push(Entry { step, path, head }),
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.rank()));
    Ok(entries)
}

fn head(checkpoint: &Path) -> Result<Head, CheckpointError> {
    let manifest = Manifest::read(&checkpoint.join(MANIFEST))?;
    Ok(Head { generation: manifest.numbers.generation(), run: manifest.run })
}
