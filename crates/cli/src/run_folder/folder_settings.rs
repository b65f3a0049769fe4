//! What a run folder must know of the run in it, whatever is trained.

use std::path::PathBuf;

use crate::settings::{Resume, Settings};

/// What a run folder must know of the run in it.
#[derive(Clone, Debug)]
pub struct FolderSettings {
    /// The stem of the folder's name, if it has none.
    pub name: String,
    /// Where it is, if given.
    pub out: Option<PathBuf>,
    /// Where checkpoints are, if given.
    pub checkpoint_dir: Option<PathBuf>,
    /// What to go on from.
    pub resume: Resume,
    /// How many checkpoints are kept.
    pub keep: usize,
    /// The update to end after, if the launcher knows it.
    pub updates: Option<u64>,
    /// What predicts with its checkpoints, as JSON, if the program knows it.
    pub model: Option<String>,
    /// Settings by name, for people.
    pub told: Vec<(&'static str, String)>,
}

impl From<&Settings> for FolderSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            name: settings.kind.name().to_owned(),
            out: settings.args.out.clone(),
            checkpoint_dir: settings.args.checkpoint_dir.clone(),
            resume: settings.resume.clone(),
            keep: settings.keep,
            updates: Some(settings.updates),
            model: serde_json::to_string_pretty(&settings.saved_model()).ok(),
            told: settings.describe(),
        }
    }
}
