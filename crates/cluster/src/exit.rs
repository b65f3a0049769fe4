//! The exit statuses, chosen so that a scheduler does the right thing: one table for all commands.
//!
//! Not the reasons, which are printed. Invariant: a permanent failure is never reported as one that
//! a restart mends, nor unfinished work as done.

use std::process::ExitCode;

/// How a process ended.
///
/// Kubernetes operators take 1, 2, 126 to 128 and 139 as permanent, and 130, 137, 138 and 143 as
/// worth a restart (`restartPolicy: ExitCode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// Training is over, or the question is answered.
    Done = 0,
    /// It failed, and would fail again.
    Failed = 1,
    /// The options, the environment or the files that they name are wrong.
    Usage = 2,
    /// Another process has taken this one's place.
    Replaced = 3,
    /// SIGHUP asked for the end before training was over.
    HungUp = 129,
    /// Ctrl-C (SIGINT) asked for it.
    Interrupted = 130,
    /// Others went away or began anew: start this process again.
    Restart = 138,
    /// SIGTERM asked for it.
    Terminated = 143,
}

impl Exit {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Replaced,
        Self::HungUp,
        Self::Interrupted,
        Self::Restart,
        Self::Terminated,
    ];

    /// The status that a program ended with; `None` for one that is not in the table.
    #[must_use]
    pub fn of(status: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| *exit as i32 == status)
    }

    /// What it says of the process.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "training is over, or the question is answered",
            Self::Failed => "it failed, and would fail again",
            Self::Usage => "the options, the environment or the files that they name are wrong",
            Self::Replaced => "another process has taken this one's place",
            Self::HungUp => "SIGHUP asked it to end early; what was to be saved is saved",
            Self::Interrupted => "Ctrl-C asked for that; a second one ends at once, unsaved",
            Self::Restart => "other processes went away, or began anew",
            Self::Terminated => "SIGTERM asked it to end early; what was to be saved is saved",
        }
    }

    /// What the starter of the process should do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Done | Self::Replaced => "nothing",
            Self::Failed | Self::Usage => "end the job",
            _ => "start it again",
        }
    }

    /// Whether the process was asked to end by a signal, and did.
    #[must_use]
    pub fn was_asked_for(self) -> bool {
        matches!(self, Self::HungUp | Self::Interrupted | Self::Terminated)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cluster.md");
        let page = std::fs::read_to_string(page).expect("it is there");
        for exit in Exit::ALL {
            let row = format!("| {} | {} | {} |", exit as u8, exit.meaning(), exit.advice());
            assert!(page.contains(&row), "expected the line {row:?} in docs/cluster.md");
        }
    }

    #[test]
    fn a_signal_has_128_and_its_number() {
        #[track_caller]
        fn check(status: i32, exit: Option<Exit>, asked: bool) {
            assert_eq!(Exit::of(status), exit);
            assert_eq!(exit.is_some_and(Exit::was_asked_for), asked, "{status}");
        }
        check(0, Some(Exit::Done), false);
        check(128 + 1, Some(Exit::HungUp), true);
        check(128 + 2, Some(Exit::Interrupted), true);
        check(128 + 15, Some(Exit::Terminated), true);
        check(138, Some(Exit::Restart), false);
        check(4, None, false);
    }
}
