//! Where a run is, and what it goes on from, as its settings say; makes nothing.

use std::path::{Path, PathBuf};

use sync_replicas::checkpoint;

use super::files::CHECKPOINTS;
use super::find::Place;
use super::folder_settings::FolderSettings;
use super::name;
use super::run_file::RunFile;
use crate::error::Error;
use crate::run::AnyState;
use crate::settings::Resume;

/// What is to be gone on from, before anything is made.
pub(super) struct Source {
    pub(super) place: Place,
    pub(super) path: PathBuf,
    pub(super) state: AnyState,
}

/// What the settings say to go on from; `None` for a run that begins.
pub(super) fn source(settings: &FolderSettings) -> Result<Option<Source>, Error> {
    let own = || {
        let root = root(settings, None);
        let checkpoints = checkpoints(settings, &root, RunFile::read(&root)?.as_ref());
        let newest = checkpoint::latest(&checkpoints)?;
        Ok::<_, Error>(newest.map(|_| Place::Run { root, checkpoints }))
    };
    let place = match &settings.output.resume {
        Resume::Never => None,
        Resume::From(path) => Some(Place::of(path)?),
        Resume::IfAny => own()?,
        Resume::OwnOr(path) => Some(own()?.map_or_else(|| Place::of(path), Ok)?),
    };
    let Some(place) = place else { return Ok(None) };
    let path = match &place {
        Place::One(path) => path.clone(),
        folder => checkpoint::latest(folder.checkpoints())?.unwrap_or_default(),
    };
    let state = AnyState::read(place.checkpoints())?;
    let at = state.global_step().get();
    if let (Resume::From(_), Some(updates)) = (&settings.output.resume, settings.updates)
        && at.unsigned_abs() >= updates
    {
        return Err(Error::usage(format!(
            "nothing is left to train: the checkpoint is at update {at}, and --updates is \
             {updates}; give a larger number"
        )));
    }
    Ok(Some(Source { place, path, state }))
}

pub(super) fn root(settings: &FolderSettings, source: Option<&Source>) -> PathBuf {
    match (&settings.output.out, source.map(|source| &source.place)) {
        (Some(out), _) => out.clone(),
        (None, Some(Place::Run { root, .. })) => root.clone(),
        (None, _) => name::fresh(&settings.name),
    }
}

pub(super) fn checkpoints(
    settings: &FolderSettings,
    root: &Path,
    file: Option<&RunFile>,
) -> PathBuf {
    match (&settings.output.checkpoint_dir, file) {
        (Some(folder), _) => folder.clone(),
        (None, Some(file)) => file.checkpoints_of(root),
        (None, None) => root.join(CHECKPOINTS),
    }
}
