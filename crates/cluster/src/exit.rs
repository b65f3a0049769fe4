//! The exit codes of a process of a cluster, chosen so that a scheduler does the right thing.
//!
//! Not the reasons, which are printed. Invariant: what a restart cannot mend is never reported as
//! something that it can.

use std::process::ExitCode;

/// How a process of a cluster ended.
///
/// Kubernetes operators take 1, 2, 126 to 128 and 139 as permanent, and 130, 137, 138 and 143 as
/// worth a restart (`restartPolicy: ExitCode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Training is done.
    Done = 0,
    /// It failed, and would fail again.
    Failed = 1,
    /// The options, the environment or the files that they name are wrong.
    Usage = 2,
    /// Others went away or began anew: start this process again.
    Restart = 138,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
