//! What a run writes, where, and what it goes on from, whatever is trained.

use std::path::{Path, PathBuf};

use super::count;
use crate::args::{ExportArgs, Measure, PageAddress, TrainArgs};
use crate::error::UsageError;

/// What a run writes and shows, and what it goes on from.
#[derive(Clone, Debug)]
pub struct Output {
    /// The run folder, if given.
    pub out: Option<PathBuf>,
    /// Where checkpoints are, if given.
    pub checkpoint_dir: Option<PathBuf>,
    /// What to go on from.
    pub resume: Resume,
    /// Updates from checkpoint to checkpoint.
    pub save_every: u64,
    /// How many checkpoints are kept.
    pub keep: usize,
    /// By what the best one is kept, if it is.
    pub keep_best: Option<Measure>,
    /// Whether TensorBoard can show it.
    pub tensorboard: bool,
    /// Where its record is sent.
    pub exports: ExportArgs,
    /// Where its live page is, if it has one.
    pub dashboard: Option<PageAddress>,
    /// Whether nothing but errors is shown.
    pub quiet: bool,
}

impl Output {
    /// # Errors
    /// [`UsageError`] names the option, what was expected and what came.
    pub(crate) fn check(args: &TrainArgs) -> Result<Self, UsageError> {
        Ok(Self {
            out: args.out.clone(),
            checkpoint_dir: args.checkpoint_dir.clone(),
            resume: Resume::new(args.resume.as_deref(), args.out.is_some())?,
            save_every: args.save_every,
            keep: count("--keep", args.keep)?,
            keep_best: args.keep_best,
            tensorboard: args.tensorboard,
            exports: args.exports.clone(),
            dashboard: args.dashboard,
            quiet: args.quiet,
        })
    }
}

/// Whether a run begins or goes on (P-24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// It begins, and no earlier one may be in its folder.
    Never,
    /// It goes on from a run folder, a folder of checkpoints, or one checkpoint.
    From(PathBuf),
    /// It goes on if its own folder has a checkpoint: for a process that is started again
    /// automatically.
    IfAny,
    /// The same, and goes on from elsewhere the first time.
    OwnOr(PathBuf),
}

impl Resume {
    fn new(asked: Option<&Path>, has_out: bool) -> Result<Self, UsageError> {
        match asked {
            None => Ok(Self::Never),
            Some(path) if path.as_os_str() != "auto" => Ok(Self::From(path.to_owned())),
            Some(_) if has_out => Ok(Self::IfAny),
            Some(_) => {
                let expected = "--out DIR with it, to look for a checkpoint in";
                Err(UsageError::option("--resume auto", expected, "none"))
            }
        }
    }

    /// The same for a process that is started again automatically, always by the same words.
    pub(crate) fn in_each_life(self) -> Self {
        match self {
            Self::From(path) | Self::OwnOr(path) => Self::OwnOr(path),
            Self::Never | Self::IfAny => Self::IfAny,
        }
    }
}
