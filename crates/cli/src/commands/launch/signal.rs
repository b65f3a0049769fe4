//! Signals, where the system has them.
//!
//! Names them and keeps them off; sends and handles none.

use std::process::{Command, ExitStatus};

/// Keeps Ctrl-C on the terminal from a process: the launcher passes it on as it sees fit.
pub(super) fn shield(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// The signal that ended a process, if one did.
pub(super) fn of(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    {
        let _ = status;
        None
    }
}
