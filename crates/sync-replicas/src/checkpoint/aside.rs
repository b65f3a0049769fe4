//! Checkpoints that turned out bad are set aside: renamed, so that readers no longer find them.
//!
//! Nothing is removed: a user who wants to see how numbers went wrong finds them beside the good
//! ones.

use std::fmt;
use std::path::{Path, PathBuf};

use super::CheckpointError;
use super::disk::{Disk, SystemDisk};
use super::folder::{remove_if_there, sync_folder};
use super::listing::{Entry, list};
use super::turn::Turn;

/// Which checkpoints are good, as far as the losses have told.
///
/// The loss of a step is that of the variables before it, so a checkpoint is known to be good once
/// a batch computed from its variables had a finite loss.
// P-25
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tested {
    good: Option<i64>,
    bad: Option<i64>,
}

/// What remains in a folder after bad checkpoints were set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The newest remaining one.
    pub newest: Option<PathBuf>,
    /// Those set aside, at their new places.
    pub aside: Vec<PathBuf>,
}

impl Tested {
    /// A batch computed from the variables of this step had a loss, finite or not.
    pub fn loss(&mut self, step: i64, finite: bool) {
        match finite {
            true => self.good = self.good.max(Some(step)),
            false => self.bad = Some(self.bad.map_or(step, |bad| bad.min(step))),
        }
    }

    /// The first step whose checkpoint is not known to be good, if a loss has told anything.
    fn doubtful(self) -> Option<i64> {
        self.good.map(|good| good.saturating_add(1)).or(self.bad)
    }
}

/// Renames the checkpoints in `folder` that are not known to be good to `checkpoint-STEP.bad`; none
/// if no loss has told anything.
///
/// # Errors
/// [`CheckpointError`] when the folder cannot be listed or a checkpoint not be renamed.
pub fn set_aside(folder: &Path, tested: Tested) -> Result<Kept, CheckpointError> {
    let mut kept = Kept::default();
    if !folder.is_dir() {
        return Ok(kept);
    }
    let _turn = Turn::wait(folder)?;
    for Entry { step, path, .. } in list(folder)?.into_iter().rev() {
        if tested.doubtful().is_none_or(|first| step < first) {
            kept.newest = Some(path);
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = folder.join(format!("{}.bad", name.trim_start_matches('.')));
        remove_if_there(&mut SystemDisk, &aside)?;
        SystemDisk.rename(&path, &aside).map_err(CheckpointError::io("moving", &path))?;
        kept.aside.push(aside);
    }
    sync_folder(&mut SystemDisk, folder)?;
    Ok(kept)
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.newest {
            Some(newest) => write!(f, "the last good checkpoint is {}", newest.display())?,
            None => f.write_str("there is no good checkpoint")?,
        }
        let names = self.aside.iter().map(|path| path.file_name().unwrap_or_default());
        let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
        match names.is_empty() {
            true => Ok(()),
            false => write!(f, " (set aside beside it: {})", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(steps: &[i64]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for step in steps {
            let place = folder.path().join(format!("checkpoint-{step:09}"));
            std::fs::create_dir(&place).expect("a new name");
            std::fs::write(place.join("manifest.json"), "{}").expect("it can be written");
        }
        folder
    }

    /// P-25
    #[test]
    fn what_is_newer_than_a_good_loss_is_set_aside() {
        #[track_caller]
        fn check(losses: &[(i64, bool)], newest: Option<i64>, aside: &[i64]) {
            let folder = folder(&[5, 7, 8, 9]);
            let mut tested = Tested::default();
            losses.iter().for_each(|&(step, finite)| tested.loss(step, finite));
            let kept = set_aside(folder.path(), tested).expect("it can be renamed");
            let at = |step: i64| folder.path().join(format!("checkpoint-{step:09}"));
            assert_eq!(kept.newest, newest.map(at));
            let expected: Vec<_> = aside.iter().map(|&it| at(it).with_extension("bad")).collect();
            assert_eq!(kept.aside, expected);
            assert_eq!(crate::checkpoint::latest(folder.path()).expect("a list"), newest.map(at));
            let text = kept.to_string();
            assert_eq!(text.contains("no good checkpoint"), newest.is_none(), "{text}");
            assert_eq!(text.contains("set aside"), !aside.is_empty(), "{text}");
            // Once more changes nothing.
            let again = set_aside(folder.path(), tested).expect("nothing to rename");
            assert_eq!(again, Kept { aside: Vec::new(), ..kept });
        }
        check(&[], Some(9), &[]);
        check(&[(9, true)], Some(9), &[]);
        check(&[(7, true), (8, false)], Some(7), &[8, 9]);
        check(&[(8, true), (8, false)], Some(8), &[9]);
        check(&[(6, true)], Some(5), &[7, 8, 9]);
        check(&[(7, false)], Some(5), &[7, 8, 9]);
        check(&[(5, false)], None, &[5, 7, 8, 9]);
    }

    #[test]
    fn one_that_was_set_aside_before_is_replaced() {
        let folder = folder(&[3]);
        let aside = folder.path().join("checkpoint-000000003.bad");
        std::fs::create_dir(&aside).expect("a new name");
        let mut tested = Tested::default();
        tested.loss(2, true);
        let kept = set_aside(folder.path(), tested).expect("it can be renamed");
        assert_eq!(kept, Kept { newest: None, aside: vec![aside.clone()] });
        assert!(aside.join("manifest.json").exists());
    }

    #[test]
    fn a_folder_that_is_not_there_has_none() {
        let nowhere = Path::new("no/such/folder");
        let kept = set_aside(nowhere, Tested::default()).expect("nothing to do");
        assert_eq!(kept, Kept::default());
    }
}
