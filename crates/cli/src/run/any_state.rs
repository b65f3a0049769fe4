//! A checkpoint of any number type: the launched programs choose it.

use std::path::{Path, PathBuf};

use sync_replicas::GlobalStep;
use sync_replicas::checkpoint::{self, CheckpointError, RunId, TrainingState};
use sync_replicas::driver::Generation;

/// All of a run at one step.
pub(crate) enum AnyState {
    F32(TrainingState<f32>),
    F64(TrainingState<f64>),
}

/// The same of both types.
macro_rules! of_either {
    ($state:expr, $it:ident => $what:expr) => {
        match $state {
            AnyState::F32($it) => $what,
            AnyState::F64($it) => $what,
        }
    };
}

impl AnyState {
    /// A checkpoint, or the newest good one of a folder.
    pub(crate) fn read(path: &Path) -> Result<Self, CheckpointError> {
        Ok(match checkpoint::has_f64(path)? {
            true => Self::F64(checkpoint::read(path)?),
            false => Self::F32(checkpoint::read(path)?),
        })
    }

    pub(crate) fn global_step(&self) -> GlobalStep {
        of_either!(self, it => it.global_step)
    }

    pub(crate) fn run(&self) -> Option<RunId> {
        of_either!(self, it => it.run)
    }

    /// The hash of names, shapes and values, in order.
    pub(crate) fn variables_sha256(&self) -> String {
        of_either!(self, it => it.variables.sha256())
    }

    /// The optimizer's name.
    pub(crate) fn optimizer(&self) -> &str {
        of_either!(self, it => &it.optimizer)
    }

    /// Makes it one of this run, of a generation not below this one.
    pub(crate) fn become_of(&mut self, run: RunId, generation: Generation) {
        of_either!(self, it => {
            (it.run, it.generation) = (Some(run), it.generation.max(generation));
        });
    }

    pub(crate) fn write(&self, folder: &Path, keep: usize) -> Result<PathBuf, CheckpointError> {
        of_either!(self, it => checkpoint::write(folder, it, keep))
    }

    /// The newest good checkpoint in a folder of the same run; damaged ones are set aside.
    pub(crate) fn newest(&self, folder: &Path) -> Result<Option<PathBuf>, CheckpointError> {
        Ok(match self {
            Self::F32(_) => checkpoint::recover::<f32>(folder)?.map(|(path, _)| path),
            Self::F64(_) => checkpoint::recover::<f64>(folder)?.map(|(path, _)| path),
        })
    }
}
