//! Signals, where the system has them.
//!
//! Names them and keeps them off; sends and handles none.

#[cfg(unix)]
pub(super) use with_signals::{of, shield};
#[cfg(not(unix))]
pub(super) use without_signals::{of, shield};

#[cfg(unix)]
mod with_signals {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, ExitStatus};

    /// Keeps Ctrl-C on the terminal from a process: the launcher passes it on as it sees fit.
    pub(in crate::launch) fn shield(command: &mut Command) {
        command.process_group(0);
    }

    pub(in crate::launch) fn of(status: ExitStatus) -> Option<i32> {
        status.signal()
    }
}

#[cfg(not(unix))]
mod without_signals {
    use std::process::{Command, ExitStatus};

    pub(in crate::launch) fn shield(_: &mut Command) {}

    pub(in crate::launch) fn of(_: ExitStatus) -> Option<i32> {
        None
    }
}
