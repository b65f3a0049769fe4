//! A folder of traces: each is replayed, whatever became of the others.
//!
//! Invariant: every `*.json` of the folder is in the report once, passed or failed.

use std::any::Any;
use std::fmt;
use std::fs;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::{Failure, Place, Replayed, replay, replay_on_clusters};

/// What became of every trace of a folder, in the order of their names.
#[derive(Clone, Debug)]
pub struct Report {
    results: Vec<(String, Result<Replayed, Failure>)>,
}

/// A folder from which nothing could be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It cannot be listed.
    #[error("the folder {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds no trace, so that passing would mean nothing.
    #[error("there is no *.json in {}; give a folder of traces", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// Replays every `*.json` directly in `folder`.
///
/// # Errors
/// [`FolderError`] when there is nothing to replay. A file that cannot be read, is no trace, or
/// makes its replay panic is a failed trace and no error.
pub fn run_folder(folder: &Path) -> Result<Report, FolderError> {
    run(folder, |text| replay(text).map(|()| Replayed::Passed))
}

/// The same on clusters, for those traces that have a counterpart there.
///
/// # Errors
/// [`FolderError`] when there is nothing to replay.
pub fn run_folder_on_clusters(folder: &Path) -> Result<Report, FolderError> {
    let report = run(folder, replay_on_clusters)?;
    match report.passed() + report.failed() {
        0 => Err(FolderError::Empty { path: folder.to_owned() }),
        _ => Ok(report),
    }
}

fn run(
    folder: &Path,
    replay: impl Fn(&str) -> Result<Replayed, Failure> + RefUnwindSafe,
) -> Result<Report, FolderError> {
    let unreadable = |source| FolderError::Unreadable { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(FolderError::Empty { path: folder.to_owned() });
    }
    paths.sort();
    let results = paths.iter().map(|path| (file_name(path), replay_file(path, &replay))).collect();
    Ok(Report { results })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn replay_file(
    path: &Path,
    replay: impl Fn(&str) -> Result<Replayed, Failure> + RefUnwindSafe,
) -> Result<Replayed, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::new(Place::File, error))?;
    guarded(|| replay(&text))
}

/// Makes a panic a failure of this trace alone.
fn guarded<V>(work: impl FnOnce() -> Result<V, Failure> + UnwindSafe) -> Result<V, Failure> {
    catch_unwind(work).unwrap_or_else(|panic| Err(Failure::new(Place::Panic, message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl Report {
    /// How many traces were passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.results.iter().filter(|(_, result)| *result == Ok(Replayed::Passed)).count()
    }

    /// How many traces have no counterpart where they were to be replayed.
    #[must_use]
    pub fn without_counterpart(&self) -> usize {
        self.results.len() - self.passed() - self.failed()
    }

    /// How many traces were not.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failures().count()
    }

    /// The failed traces: the file's name, and the first difference.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &Failure)> {
        self.results
            .iter()
            .filter_map(|(file, result)| Some((file.as_str(), result.as_ref().err()?)))
    }
}

/// A line for every failure, and last `N passed, M failed`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, failure) in self.failures() {
            writeln!(f, "FAILED {file}, {failure}")?;
        }
        match self.without_counterpart() {
            0 => {}
            count => writeln!(f, "{count} are of one part alone: no counterpart over a network")?,
        }
        write!(f, "{} passed, {} failed", self.passed(), self.failed())
    }
}

#[cfg(test)]
mod tests;
