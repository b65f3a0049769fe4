//! The folder of one run: where it is, where its checkpoints are, and what it goes on from (P-24).
//!
//! The one notion of that for `train`, `launch` and `node`. Its invariants: an earlier run is never
//! overwritten, a path without a checkpoint makes nothing, and a run goes on from the newest
//! checkpoint of the folder that it goes on in.

pub(crate) mod files;
mod find;
mod folder_settings;
mod hold;
mod name;
mod run_file;
mod source;
mod whole;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sync_replicas::GlobalStep;
use sync_replicas::checkpoint::{self, RunId};
use sync_replicas::driver::create_private_folder;

use crate::config::{Config, ConfigError};
use crate::error::Error;
use crate::run::metrics;
use crate::settings::{COLUMNS, Resume};
use files::{CHECKPOINTS, CONFIG, METRICS, MODEL, RUN};
use find::{Place, same};
pub(crate) use folder_settings::FolderSettings;
use hold::Hold;
pub(crate) use run_file::Resumed;
use run_file::RunFile;
use source::{Source, checkpoints, root, source};
use whole::{unwritable, write_whole};

/// Where the files of a run are, for one of its processes.
#[derive(Debug)]
pub(crate) struct RunFolder {
    root: PathBuf,
    checkpoints: PathBuf,
    run: RunId,
    from: Option<ResumePoint>,
    /// New folders, each before the one that it lies in.
    made: Vec<PathBuf>,
    holds: Vec<Hold>,
}

/// The checkpoint that a run goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResumePoint {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its update.
    pub(crate) step: GlobalStep,
    /// Which settings changed, in words.
    pub(crate) changed: Vec<String>,
}

impl ResumePoint {
    /// The news for a person.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        let mut words = format!("going on from {} (update {})", self.path.display(), self.step);
        for change in &self.changed {
            words += &format!("\n  {change}");
        }
        words
    }
}

impl RunFolder {
    /// For the process that writes the checkpoints, and for its launcher: begins a run, or goes on,
    /// as the settings say. It holds the folder until it is dropped, or releases it.
    ///
    /// # Errors
    /// When there is nothing to go on from, nothing left to do, an earlier or another run in the
    /// way, or a folder that cannot be written. Nothing was made then.
    pub(crate) fn open(settings: impl Into<FolderSettings>) -> Result<Self, Error> {
        let settings = &settings.into();
        let source = source(settings)?;
        let root = root(settings, source.as_ref());
        let file = RunFile::read(&root)?;
        let checkpoints = checkpoints(settings, &root, file.as_ref());
        if source.is_none() {
            refuse_used(settings, &root, &checkpoints)?;
        }
        let run = source.as_ref().and_then(|it| it.state.run());
        let run = run.or(file.as_ref().map(|file| file.run)).unwrap_or_else(RunId::draw);
        let mut folder =
            Self { root, checkpoints, run, from: None, made: Vec::new(), holds: Vec::new() };
        let ready = folder.make().and_then(|()| folder.hold()).and_then(|()| match source {
            Some(source) => folder.go_on(settings, source, file.as_ref()),
            None => Ok(()),
        });
        match ready {
            Ok(()) => Ok(folder),
            Err(error) => {
                folder.abandon();
                Err(error)
            }
        }
    }

    /// For a process that adds its own files to a run that another one writes: the chief of a
    /// cluster, its evaluator, and every process of a launcher.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn join(settings: impl Into<FolderSettings>) -> Result<Self, Error> {
        let mut folder = Self::look(settings)?;
        folder.make()?;
        Ok(folder)
    }

    /// For a process that only reads: makes nothing.
    ///
    /// # Errors
    /// When its record of its run is unreadable.
    pub(crate) fn look(settings: impl Into<FolderSettings>) -> Result<Self, Error> {
        let settings = &settings.into();
        let root = root(settings, None);
        let file = RunFile::read(&root)?;
        let checkpoints = checkpoints(settings, &root, file.as_ref());
        let run = file.as_ref().map_or_else(RunId::draw, |file| file.run);
        Ok(Self { root, checkpoints, run, from: None, made: Vec::new(), holds: Vec::new() })
    }

    /// Whether the training in it has ended since its last start.
    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        let metrics = self.root.join(METRICS);
        let written = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
        let begun = written(&self.root.join(RUN));
        written(&metrics) >= begun && metrics::ends_with_result(&metrics)
    }

    /// Takes the folders for this process, until it is dropped.
    ///
    /// # Errors
    /// When another process has them: the message says which.
    pub(crate) fn hold(&mut self) -> Result<(), Error> {
        self.holds.push(Hold::take(&self.root)?);
        if !self.checkpoints.starts_with(&self.root) {
            self.holds.push(Hold::take(&self.checkpoints)?);
        }
        Ok(())
    }

    /// Leaves the folders to the process that will write them.
    pub(crate) fn let_go(&mut self) {
        self.holds.clear();
    }

    /// Records which run this is, how it began, and in `config.toml` all that is needed to repeat
    /// it: from now on the folder is its own.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn record(
        &self,
        settings: impl Into<FolderSettings>,
        config: &Config,
    ) -> Result<(), Error> {
        let settings = settings.into();
        write(&self.root, CONFIG, &config.to_string())?;
        if let Some(model) = &settings.model {
            write(&self.root, MODEL, model)?;
        }
        let told = settings.told.into_iter();
        let file = RunFile {
            run: self.run,
            checkpoints: RunFile::name_of(&self.root, &self.checkpoints),
            settings: told.map(|(name, value)| (name.to_owned(), value)).collect(),
            command: own_words(),
            resumed: self.from.as_ref().map(|from| Resumed {
                checkpoint: from.path.clone(),
                step: from.step.get().unsigned_abs(),
            }),
        };
        file.write(&self.root)
    }

    /// Removes what was made, if there is no checkpoint in it: a failed start leaves nothing.
    pub(crate) fn abandon(&mut self) {
        self.holds.clear();
        if matches!(checkpoint::latest(&self.checkpoints), Ok(None)) {
            for path in std::mem::take(&mut self.made) {
                let own = path == self.root || path == self.checkpoints;
                // What is above may have another run in it by now, and stays then.
                let _ = if own { fs::remove_dir_all(path) } else { fs::remove_dir(path) };
            }
        }
    }

    /// The folder itself.
    #[must_use]
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where its checkpoints are.
    #[must_use]
    pub(crate) fn checkpoints(&self) -> &Path {
        &self.checkpoints
    }

    /// The run of the checkpoints.
    #[must_use]
    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    /// The checkpoint that this process goes on from, if any.
    #[must_use]
    pub(crate) fn from(&self) -> Option<&ResumePoint> {
        self.from.as_ref()
    }

    /// What the run went on from at its last start, by whichever process.
    #[must_use]
    pub(crate) fn resumed(&self) -> Option<Resumed> {
        RunFile::read(&self.root).ok().flatten().and_then(|file| file.resumed)
    }

    /// The words of the run's last start, by whichever process; this process's own if none are
    /// recorded yet.
    #[must_use]
    pub(crate) fn command(&self) -> Vec<String> {
        RunFile::read(&self.root).ok().flatten().map_or_else(own_words, |file| file.command)
    }

    /// The settings of its last start, if they are there.
    ///
    /// # Errors
    /// [`ConfigError`] when the file was changed and is invalid.
    pub(crate) fn config(&self) -> Result<Option<Config>, ConfigError> {
        let path = self.root.join(CONFIG);
        path.exists().then(|| Config::read(&path)).transpose()
    }

    fn make(&mut self) -> Result<(), Error> {
        for path in [self.root.clone(), self.checkpoints.clone()] {
            let above = path.ancestors().take_while(|it| !it.as_os_str().is_empty());
            let missing: Vec<_> = above.take_while(|it| !it.exists()).map(Path::to_owned).collect();
            probe(&path).map_err(|error| unwritable(&path, &error))?;
            self.made.extend(missing);
        }
        Ok(())
    }

    /// Makes the newest checkpoint of this folder the one to go on from.
    fn go_on(
        &mut self,
        settings: &FolderSettings,
        source: Source,
        file: Option<&RunFile>,
    ) -> Result<(), Error> {
        let Source { place, mut path, mut state } = source;
        let step = state.global_step();
        let before = match &place {
            Place::Run { root, .. } => RunFile::read(root)?.or(file.cloned()),
            _ => file.cloned(),
        };
        let changed = match before {
            Some(before) => changes(&before, settings)?,
            None => Vec::new(),
        };
        if matches!(place, Place::One(_)) || !same(place.checkpoints(), &self.checkpoints) {
            let known = checkpoint::newest_generation(&self.checkpoints)?;
            let used = checkpoint::latest(&self.checkpoints)?.is_some();
            state.become_of(self.run, if used { known.next() } else { known });
            state.write(&self.checkpoints, settings.output.keep)?;
        } else if let Some(newest) = state.newest(&self.checkpoints)? {
            path = newest;
        }
        self.from = Some(ResumePoint { path, step, changed });
        Ok(())
    }
}

/// A run that begins takes no folder in which another has trained.
fn refuse_used(settings: &FolderSettings, root: &Path, checkpoints: &Path) -> Result<(), Error> {
    if let Some(newest) = checkpoint::latest(checkpoints)? {
        let newest = newest.file_name().unwrap_or_default().to_string_lossy();
        let path = checkpoints.display();
        return Err(Error::usage(format!(
            "{path} already has a checkpoint ({newest}); give another folder, or continue it with \
             --resume {path}"
        )));
    }
    // The chief of a cluster may have begun its file before this process was there.
    if matches!(settings.output.resume, Resume::Never) && root.join(METRICS).exists() {
        return Err(Error::usage(format!(
            "{} has the {METRICS} of an earlier run; give another folder, or continue that run \
             with --resume",
            root.display()
        )));
    }
    Ok(())
}

/// How the settings differ from those of before.
fn changes(before: &RunFile, settings: &FolderSettings) -> Result<Vec<String>, Error> {
    let columns = |(name, now): &(&str, String)| {
        let then = before.settings.get(*name).filter(|then| *name == COLUMNS && *then != now)?;
        Some(Error::usage(format!(
            "--resume: expected the columns that the run has learned from, {then}; got {now}; give \
             the options about the data that it was begun with"
        )))
    };
    if let Some(error) = settings.told.iter().find_map(columns) {
        return Err(error);
    }
    let differs = settings.told.iter().filter_map(|(name, now)| {
        let then = before.settings.get(*name)?;
        (then != now).then(|| format!("{name}: {then} before, {now} now"))
    });
    Ok(differs.collect())
}

/// Where the checkpoints of a run folder are, as far as it says so.
pub(crate) fn checkpoints_of(root: &Path) -> PathBuf {
    let file = RunFile::read(root).ok().flatten();
    file.map_or_else(|| root.join(CHECKPOINTS), |file| file.checkpoints_of(root))
}

/// Writes a file of a run folder whole, or leaves the one before.
///
/// # Errors
/// When it cannot be written; the message names it.
pub(crate) fn write(root: &Path, name: &str, text: &str) -> Result<(), Error> {
    write_whole(&root.join(name), text)
}

/// The command line of this process.
fn own_words() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Permissions mislead on network drives and read-only mounts; a file that was written does not.
fn probe(folder: &Path) -> io::Result<()> {
    create_private_folder(folder)?;
    // Several processes of a cluster may look at once.
    let file = folder.join(format!(".writable-{}", std::process::id()));
    fs::write(&file, "")?;
    fs::remove_file(&file)
}

#[cfg(test)]
mod tests;
