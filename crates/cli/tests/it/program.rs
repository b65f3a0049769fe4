//! Starts the program in a folder of its own.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The program, about to run in `folder`.
pub fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sync-replicas"));
    command.current_dir(folder).args(args).env_remove("RUST_LOG");
    command
}

/// What a run says.
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs the program to its end.
pub fn run(folder: &Path, args: &[&str]) -> Said {
    program(folder, args).output().expect("the program starts").into()
}

/// Runs `train --json --quiet` with more options, and reads the last line.
#[track_caller]
pub fn train(folder: &Path, args: &[&str]) -> Value {
    let said = run(folder, &[&["train", "--json", "--quiet"], args].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    assert_eq!(said.err, "", "a quiet run says nothing");
    json(&said.out)
}

/// The last line, which is one JSON object.
#[track_caller]
pub fn json(out: &str) -> Value {
    let line = out.lines().last().expect("there is a line");
    serde_json::from_str(line).expect("is JSON")
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Sends a signal to a process that runs.
#[cfg(unix)]
#[track_caller]
pub fn send(signal: &str, process: u32) {
    // It would be waited for until whoever waits is tired.
    assert!(!is_ignored(signal), "SIG{signal} is ignored: start the tests without nohup or `&`");
    let sent = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status();
    assert!(sent.expect("kill is there").success(), "{signal} to {process}");
}

/// Whether who started the tests has them ignore this signal, so that the program does too.
#[cfg(unix)]
fn is_ignored(signal: &str) -> bool {
    let Some(number) = [("HUP", 1), ("INT", 2)].iter().find(|it| it.0 == signal) else {
        return false;
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| (mask >> (number.1 - 1)) & 1 == 1)
}
