//! Signals, where the system has them.
//!
//! Sends and names them; handles none.

#[cfg(unix)]
pub(super) use with_signals::{interrupt, of, shield};
#[cfg(not(unix))]
pub(super) use without_signals::{interrupt, of, shield};

#[cfg(unix)]
mod with_signals {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, ExitStatus};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// As Ctrl-C does.
    pub(in crate::launch) fn interrupt(process: u32) {
        if let Ok(process) = i32::try_from(process) {
            // It may have ended just now.
            let _ = kill(Pid::from_raw(process), Signal::SIGINT);
        }
    }

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

    pub(in crate::launch) fn interrupt(_: u32) {}

    pub(in crate::launch) fn shield(_: &mut Command) {}

    pub(in crate::launch) fn of(_: ExitStatus) -> Option<i32> {
        None
    }
}
