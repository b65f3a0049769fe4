//! The folder of one run: what is in it, and that it can be written.
//!
//! Its invariant: an earlier run is never written over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sync_replicas::{CheckpointError, checkpoint};

use crate::args::cli_name;
use crate::settings::Settings;

/// Where the files of a run are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
    checkpoints: PathBuf,
}

/// Why a run folder cannot be used. Training has not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system does not let it be written.
    #[error("the run folder {} cannot be written: {source}", path.display())]
    Write {
        /// The folder or the file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier run is there.
    #[error(
        "{} already has a checkpoint ({newest}); give another folder, or continue it with \
         --resume {}",
        path.display(), path.display()
    )]
    Used {
        /// The folder.
        path: PathBuf,
        /// The newest checkpoint's name.
        newest: String,
    },
    /// Its checkpoints cannot be listed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl RunFolder {
    /// Makes the folder, or checks that it can be used: `--out`, or `runs/MODEL-TIME`.
    ///
    /// # Errors
    /// [`FolderError`] when it cannot be written, or when it has another run's checkpoints and
    /// `resumed` does not say that this run goes on from them.
    pub fn prepare(settings: &Settings, resumed: bool) -> Result<Self, FolderError> {
        let root = settings.out.clone().unwrap_or_else(|| {
            let (model, now) = (cli_name(settings.model), utc(SystemTime::now()));
            unused(&Path::new("runs").join(format!("{model}-{now}")))
        });
        let checkpoints = settings.checkpoint_dir.clone();
        let checkpoints = checkpoints.unwrap_or_else(|| root.join("checkpoint"));
        let folder = Self { root, checkpoints };
        for path in [&folder.root, &folder.checkpoints] {
            probe(path).map_err(|source| FolderError::Write { path: path.clone(), source })?;
        }
        match checkpoint::latest(&folder.checkpoints)? {
            Some(newest) if !resumed => Err(FolderError::Used {
                path: folder.checkpoints,
                newest: newest.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            }),
            _ => Ok(folder),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where its checkpoints are.
    #[must_use]
    pub fn checkpoints(&self) -> &Path {
        &self.checkpoints
    }

    /// Writes one of its files.
    ///
    /// # Errors
    /// [`FolderError::Write`] names the file.
    pub fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let path = self.root.join(name);
        fs::write(&path, text).map_err(|source| FolderError::Write { path, source })
    }
}

/// Where a run's checkpoint is: `path` may be a run folder, its checkpoint folder, or one of the
/// checkpoints in that.
#[must_use]
pub fn checkpoint_in(path: &Path) -> PathBuf {
    let inside = path.join("checkpoint");
    if inside.is_dir() { inside } else { path.to_owned() }
}

/// Permissions lie about network drives and read-only mounts; a file that was written does not.
fn probe(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // Several processes of a cluster may look at once.
    let file = folder.join(format!(".writable-{}", std::process::id()));
    fs::write(&file, "")?;
    fs::remove_file(&file)
}

/// Two runs that start in the same second get folders of their own.
fn unused(path: &Path) -> PathBuf {
    let numbered = |n: u32| {
        path.with_file_name(format!(
            "{}-{n}",
            path.file_name().unwrap_or_default().to_string_lossy()
        ))
    };
    let mut candidates = std::iter::once(path.to_owned()).chain((2..).map(numbered));
    candidates.find(|path| !path.exists()).unwrap_or_else(|| path.to_owned())
}

/// `20260131-235959`, in universal time.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// Year, month and day of a number of days since 1970-01-01 in the Gregorian calendar, counted in
/// years that begin in March so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn times_are_universal() {
        #[track_caller]
        fn check(seconds: u64, expected: &str) {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
        check(0, "19700101-000000");
        check(951_782_399, "20000228-235959");
        check(951_782_400, "20000229-000000");
        check(951_868_800, "20000301-000000");
        check(1_735_689_599, "20241231-235959");
        check(4_107_542_399, "21000228-235959");
        check(4_107_542_400, "21000301-000000");
    }

    #[test]
    fn names_taken_get_a_number() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let wanted = dir.path().join("mlp-1");
        assert_eq!(unused(&wanted), wanted);
        fs::create_dir(&wanted).expect("is new");
        assert_eq!(unused(&wanted), dir.path().join("mlp-1-2"));
    }

    #[test]
    fn a_folder_under_a_file_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("is writable");
        let args = ["x".into(), "--out".into(), file.join("run")];
        let args = Cli::try_parse_from(args.map(PathBuf::into_os_string)).expect("parses");
        let settings = Settings::check(args.into_train()).expect("is valid");
        let error = RunFolder::prepare(&settings, false);
        assert!(matches!(error, Err(FolderError::Write { .. })), "{error:?}");
    }

    #[test]
    fn a_checkpoint_is_found_from_any_of_its_folders() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let inside = dir.path().join("checkpoint");
        assert_eq!(checkpoint_in(dir.path()), dir.path());
        fs::create_dir(&inside).expect("is new");
        assert_eq!(checkpoint_in(dir.path()), inside);
        assert_eq!(checkpoint_in(&inside), inside);
    }
}
