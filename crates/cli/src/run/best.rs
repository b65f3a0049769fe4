//! The best checkpoint of a run: in its own folder, where no other takes its place.
//!
//! Invariant: a file beside it says what its value is, and is written after it, so that a run that
//! goes on keeps nothing worse (P-24).

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sync_replicas::checkpoint::{self, CheckpointError};
use sync_replicas::driver::describe;

use crate::args::Measure;
use crate::error::Error;
use crate::run::folder;
use crate::run::folder::files::{BEST, BEST_SO_FAR};
use crate::run::metrics::Evaluation;
use crate::system::output::say;

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Its name for `--keep-best`.
    metric: String,
    pub(crate) value: f64,
    pub(crate) step: i64,
}

impl Kept {
    /// The best so far; `None` if there is none, or none that is readable, which is reported.
    pub(crate) fn read(root: &Path) -> Option<Self> {
        let path = root.join(BEST_SO_FAR);
        let text = fs::read_to_string(&path).ok()?;
        let kept = serde_json::from_str(&text);
        kept.inspect_err(|error| {
            let path = path.display();
            say(format!("warning: {path} is damaged ({error}), so no best checkpoint is known"));
        })
        .ok()
    }

    /// The place of its checkpoint.
    pub(crate) fn checkpoint(root: &Path) -> Option<PathBuf> {
        checkpoint::latest(&root.join(BEST)).ok().flatten()
    }
}

/// Keeps the best checkpoint of a run.
#[derive(Clone, Debug)]
pub(crate) struct Best {
    root: PathBuf,
    measure: Measure,
    kept: Option<Kept>,
}

impl Best {
    /// For a run folder, in which an earlier life may have kept one: it counts only by the same
    /// measure.
    pub(crate) fn new(root: &Path, measure: Measure) -> Self {
        let kept = Kept::read(root).filter(|kept| kept.metric == measure.to_string());
        Self { root: root.to_owned(), measure, kept }
    }

    /// Takes a test, with the loss of its update, and keeps its checkpoint with `save` if it is
    /// better than all before.
    ///
    /// # Errors
    /// When it is not kept: training goes on, and the message is a warning.
    pub(crate) fn take(
        &mut self,
        test: &Evaluation,
        loss: Option<f64>,
        save: impl FnOnce(&Path) -> Result<PathBuf, CheckpointError>,
    ) -> Result<(), Error> {
        let value = test.value(self.measure.metric, loss);
        value.map_or(Ok(()), |value| self.tested(test.step, value, save).map(drop))
    }

    /// The same of a value of an update; whether it was better.
    fn tested(
        &mut self,
        step: i64,
        value: f64,
        save: impl FnOnce(&Path) -> Result<PathBuf, CheckpointError>,
    ) -> Result<bool, Error> {
        if !self.measure.is_better(value, self.kept.as_ref().map(|kept| kept.value)) {
            return Ok(false);
        }
        let warning = |what: &str, error: &dyn std::error::Error| {
            Error::failed(format!("update {step}: {what}: {}", describe(error)))
        };
        save(&self.root.join(BEST))
            .map_err(|error| warning("it is the best so far, but not kept", &error))?;
        let kept = Kept { metric: self.measure.to_string(), value, step };
        let text = serde_json::to_string(&kept).unwrap_or_default();
        self.kept = Some(kept);
        folder::write(&self.root, BEST_SO_FAR, &format!("{text}\n")).map_err(|error| {
            warning("the best so far is kept, but a run that goes on will not know", &error)
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // P-24: what a run has kept counts when it goes on, unless it is asked for something else.
    #[test]
    fn a_life_after_goes_on_with_the_best_so_far() {
        let dir = tempfile::tempdir().expect("a folder");
        let check = |measure: &str, tests: &[(i64, f64, bool)]| {
            let mut best = Best::new(dir.path(), measure.parse().expect("is one"));
            for &(step, value, expected) in tests {
                let kept = best.tested(step, value, |folder| Ok(folder.to_owned()));
                assert_eq!(kept.expect("is writable"), expected, "{measure} at {step}");
            }
            Kept::read(dir.path()).map(|kept| (kept.value, kept.step))
        };
        assert_eq!(check("test_accuracy", &[]), None);
        let first = [(1, 0.1, true), (10, 0.5, true), (20, 0.5, false), (30, f64::NAN, false)];
        assert_eq!(check("test_accuracy", &first), Some((0.5, 10)));
        assert_eq!(check("test_accuracy", &[(40, 0.4, false)]), Some((0.5, 10)));
        assert_eq!(check("loss", &[(50, 0.7, true), (60, 0.8, false)]), Some((0.7, 50)));
    }

    // The one before stays, and the next better one is tried.
    #[test]
    fn one_that_is_not_written_is_not_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut best = Best::new(dir.path(), "loss".parse().expect("is one"));
        let full = |folder: &Path| Err(CheckpointError::NotFound { path: folder.to_owned() });
        best.tested(1, 0.5, full).expect_err("it was not written");
        assert_eq!(Kept::read(dir.path()), None);
        assert!(best.tested(2, 0.6, |folder| Ok(folder.to_owned())).expect("is writable"));
    }
}
