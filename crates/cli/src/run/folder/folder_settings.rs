//! What a run folder must know of the run in it, whatever is trained.

use crate::settings::{Output, Settings};

/// What a run folder must know of the run in it.
#[derive(Clone, Debug)]
pub(crate) struct FolderSettings {
    /// The stem of the folder's name, if it has none.
    pub(crate) name: String,
    /// Where it is, and what it goes on from.
    pub(crate) output: Output,
    /// The update to end after, if the launcher knows it.
    pub(crate) updates: Option<u64>,
    /// What predicts with its checkpoints, as JSON, if the program knows it.
    pub(crate) model: Option<String>,
    /// Settings by name, for people.
    pub(crate) told: Vec<(&'static str, String)>,
}

impl FolderSettings {
    /// Of a program that is not ours.
    pub(crate) fn of_program(name: String, output: Output) -> Self {
        Self { name, output, updates: None, model: None, told: Vec::new() }
    }
}

impl From<&Settings> for FolderSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            name: settings.trained.kind.name().to_owned(),
            output: settings.output.clone(),
            updates: Some(settings.length.updates),
            model: serde_json::to_string_pretty(&settings.saved_model()).ok(),
            told: settings.describe(),
        }
    }
}
