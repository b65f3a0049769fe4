//! Which process crashes where, read from the environment.
//!
//! `SYNC_REPLICAS_CRASH_AT` is a list, with commas, of `PROCESS POINT#VISIT=DEED`, such as
//! `worker-1 worker/before-commit#3=kill`: the third time that a life of worker 1 is there, it is
//! killed. `stop` stops it until it is continued from outside. `hang` has the thread that reaches
//! the point hang while its process lives on. `full` has the file operation at a point of the disk
//! fail as on a full one. `SYNC_REPLICAS_CRASH_MARKS` is a folder: each crash of the list leaves a
//! file there, named by its place in the list, with the number of the process that it struck; what
//! hangs goes on when there is one with `.go` behind that name. Invariant: each happens once, even
//! if a process is started again.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, raise};

use crate::blocking::blocking;
use crate::exit::Exit;
use crate::spec::Task;

const CRASHES: &str = "SYNC_REPLICAS_CRASH_AT";
const MARKS: &str = "SYNC_REPLICAS_CRASH_MARKS";

/// The points of writing a checkpoint, in their order.
const DISK_POINTS: [&str; 6] = [
    "server/rows-written",
    "checkpoint/tensors-written",
    "checkpoint/files-synced",
    "checkpoint/folder-synced",
    "checkpoint/renamed",
    "checkpoint/published",
];

/// Every point except those of the disk.
const POINTS: [&str; 34] = [
    "worker/before-variables",
    "worker/token-assigned",
    "worker/token-held",
    "worker/after-gradient",
    "worker/between-pushes",
    "worker/before-commit",
    "worker/commit-sent",
    "worker/reply-lost",
    "worker/before-result",
    "worker/before-report",
    "worker/before-lookup",
    "worker/rows-held",
    "chief/before-hooks",
    "chief/after-hooks",
    "server/part-staged",
    "server/before-admit",
    "server/after-admit",
    "server/before-apply",
    "server/after-apply",
    "server/before-generation",
    "server/generation-begun",
    "server/state-taken",
    "server/end-heard",
    "server/rows-sent",
    "coordinator/before-generation",
    "coordinator/generation-claimed",
    "coordinator/others-begun",
    "coordinator/before-serving",
    "coordinator/commit-decided",
    "coordinator/before-step",
    "coordinator/step-made",
    "coordinator/between-tokens",
    "coordinator/states-gathered",
    "coordinator/all-saved",
];

/// Before the signal, so that what was sent before the point has left the process.
const HOLD: Duration = Duration::from_millis(20);

/// What happens to it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Signal(Signal),
    Hang,
    Full,
}

/// One crash of this process.
struct Crash {
    point: String,
    visit: u64,
    visits: AtomicU64,
    deed: Deed,
    mark: PathBuf,
}

static HERE: OnceLock<Vec<Crash>> = OnceLock::new();

/// Takes this process's crashes from the environment; ends the process if they are invalid.
pub(crate) fn enter(task: Task) {
    let Ok(list) = std::env::var(CRASHES) else { return };
    let marks = std::env::var_os(MARKS).map(PathBuf::from);
    match read(&list, marks, &format!("{}-{}", task.role, task.index)) {
        Ok(crashes) => {
            // Only the first of several trainings in a process has them.
            let _ = HERE.set(crashes);
        }
        Err(error) => give_up(&error.to_string(), Exit::Usage),
    }
}

/// This process is at a point, and may not leave it.
pub(crate) fn reach(point: &str) {
    // Only a point of the disk fails.
    let _ = reach_on_disk(point);
}

/// The same, after a file operation: it may still fail.
pub(super) fn reach_on_disk(point: &str) -> io::Result<()> {
    for crash in HERE.get().into_iter().flatten().filter(|crash| crash.point == point) {
        if crash.visits.fetch_add(1, Ordering::Relaxed) + 1 == crash.visit {
            blocking(|| crash.happen())?;
        }
    }
    Ok(())
}

/// Ends this process, which is not what its test assumes.
fn give_up(reason: &str, exit: Exit) -> ! {
    let _ = writeln!(std::io::stderr(), "error: {CRASHES}: {reason}");
    std::process::exit(exit as i32);
}

impl Crash {
    fn happen(&self) -> io::Result<()> {
        // The process that makes the file is the one that crashes.
        let Ok(mut mark) = File::options().write(true).create_new(true).open(&self.mark) else {
            return Ok(());
        };
        let written = writeln!(mark, "{}", std::process::id());
        std::thread::sleep(HOLD);
        let struck = match self.deed {
            Deed::Signal(signal) => written.and_then(|()| raise(signal).map_err(Into::into)),
            Deed::Hang => written.map(|()| self.hang()),
            Deed::Full => return Err(io::ErrorKind::StorageFull.into()),
        };
        if let Err(error) = struck {
            give_up(&format!("{} did not crash: {error}", self.point), Exit::Failed);
        }
        Ok(())
    }

    fn hang(&self) {
        let go = self.mark.with_extension("go");
        while !go.exists() {
            std::thread::sleep(HOLD);
        }
    }
}

/// What is wrong with a list of crashes.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error("expected a folder in {} beside it, got none", MARKS)]
    NoMarks,
    #[error("expected {expected} in PROCESS POINT#VISIT=DEED, got {got:?}; mend or unset it")]
    Crash { expected: &'static str, got: String },
}

/// The crashes of the list that are of this process.
fn read(list: &str, marks: Option<PathBuf>, process: &str) -> Result<Vec<Crash>, PlanError> {
    let marks = marks.ok_or(PlanError::NoMarks)?;
    let mut crashes = Vec::new();
    for (place, text) in list.split(',').enumerate() {
        let (whose, crash) = one(text.trim(), marks.join(place.to_string()))?;
        if whose == process {
            crashes.push(crash);
        }
    }
    Ok(crashes)
}

/// One crash, and the process that it is of.
fn one(text: &str, mark: PathBuf) -> Result<(&str, Crash), PlanError> {
    let wrong = |expected| PlanError::Crash { expected, got: text.to_owned() };
    let (process, rest) = text.split_once(' ').ok_or_else(|| wrong("a space"))?;
    let (point, rest) = rest.split_once('#').ok_or_else(|| wrong("a `#`"))?;
    let (visit, deed) = rest.split_once('=').ok_or_else(|| wrong("a `=`"))?;
    let numbered = process.split_once('-').filter(|(role, _)| matches!(*role, "ps" | "worker"));
    if numbered.is_none_or(|(_, index)| index.parse::<u64>().is_err()) {
        return Err(wrong("a process such as `ps-0` or `worker-2`"));
    }
    if !POINTS.contains(&point) && !DISK_POINTS.contains(&point) {
        return Err(wrong("a point of docs/faults.md"));
    }
    let visit = visit.parse().ok().filter(|visit| *visit > 0);
    let visit = visit.ok_or_else(|| wrong("a visit from 1 on"))?;
    let deed = match deed {
        "kill" => Deed::Signal(Signal::SIGKILL),
        "stop" => Deed::Signal(Signal::SIGSTOP),
        "hang" => Deed::Hang,
        "full" if DISK_POINTS.contains(&point) => Deed::Full,
        _ => return Err(wrong("`kill`, `stop`, `hang`, or at the disk `full`")),
    };
    let (point, visits) = (point.to_owned(), AtomicU64::new(0));
    Ok((process, Crash { point, visit, visits, deed, mark }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_are_read_by_process() {
        let list = "ps-0 server/before-apply#12=stop, worker-1 worker/token-held#3=kill,\
                    worker-1 worker/after-gradient#5=hang,worker-1 checkpoint/renamed#1=full";
        let crashes = read(list, Some("/marks".into()), "worker-1").expect("they make sense");
        let found: Vec<_> = crashes
            .iter()
            .map(|it| (it.point.as_str(), it.visit, it.deed, it.mark.to_str()))
            .collect();
        let expected = [
            ("worker/token-held", 3, Deed::Signal(Signal::SIGKILL), Some("/marks/1")),
            ("worker/after-gradient", 5, Deed::Hang, Some("/marks/2")),
            ("checkpoint/renamed", 1, Deed::Full, Some("/marks/3")),
        ];
        assert_eq!(found, expected);
        assert!(read(list, Some("/marks".into()), "ps-1").expect("they make sense").is_empty());
    }

    #[test]
    fn what_makes_no_sense_says_what_was_expected() {
        #[track_caller]
        fn check(list: &str, expected: &str) {
            let error =
                read(list, Some("/marks".into()), "ps-0").err().expect("no sense").to_string();
            assert!(error.contains(expected), "{error}");
        }
        check("", "a space");
        check("ps-0 server/before-apply", "a `#`");
        check("ps-0 server/before-apply#1", "a `=`");
        check("ps server/before-apply#1=kill", "a process");
        check("chief-0 server/before-apply#1=kill", "a process");
        check("ps-0 server/nowhere#1=kill", "a point of docs/faults.md");
        check("ps-0 server/before-apply#0=kill", "a visit");
        check("ps-0 server/before-apply#x=kill", "a visit");
        check("ps-0 server/before-apply#1=wait", "`kill`, `stop`, `hang`");
        check("ps-0 server/before-apply#1=full", "at the disk `full`");
        check("ps-0 server/before-apply#1=kill,", "a space");
        let error = read("ps-0 server/before-apply#1=kill", None, "ps-0").err();
        assert!(error.expect("no folder").to_string().contains(MARKS));
    }
}
