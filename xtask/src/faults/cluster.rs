//! One launched training: real processes, struck as a scenario says, watched until they end.
//!
//! Judges nothing but time. Invariant: when it returns, no process of the training is left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::scenario::{Job, SHORT, Scenario, Signal};
use crate::Result;

/// Every training: short, and in the order of replicas, so that its bits are known.
const LAUNCH: &str = "launch --ps 2 --workers 3 --patience 10s";
const DIGITS: &str = "--model softmax --deterministic --straggler 2=10 --lease 600ms --json";
const TABLES: &str = "--lease 600";

/// How long a training may take, with all that happens to it.
const DEADLINE: Duration = Duration::from_secs(40);

/// How long processes may outlive their launcher.
const LATE: Duration = Duration::from_secs(2);

const LOOK: Duration = Duration::from_millis(20);

/// The programs that a training runs, with crash points.
pub(super) struct Binaries {
    pub(super) launcher: PathBuf,
    pub(super) tables: PathBuf,
}

/// How a training ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) out: String,
    pub(super) err: String,
    /// For each crash whether it happened.
    pub(super) struck: Vec<bool>,
    /// How long it took after it was interrupted, if it was.
    pub(super) ending: Option<Duration>,
}

/// Runs a training in this folder, which is empty.
///
/// # Errors
/// When it cannot be started, is not over in time, or leaves a process behind.
pub(super) fn run(
    programs: &Binaries,
    folder: &Path,
    scenario: &Scenario,
    updates: i64,
) -> Result<Ended> {
    let marks = folder.join("marks");
    fs::create_dir_all(&marks)?;
    let (out, err) = (folder.join("out.txt"), folder.join("err.txt"));
    let mut command = Command::new(&programs.launcher);
    command.args(LAUNCH.split_whitespace());
    command.args(["--save-every", &scenario.save_every.to_string()]);
    command.arg("--out").arg(folder.join("run")).current_dir(folder).env_remove("RUST_LOG");
    match scenario.job {
        Job::Digits => {
            command.args(DIGITS.split_whitespace()).args(["-a", &scenario.aggregate.to_string()])
        }
        Job::Tables => command.arg("--").arg(&programs.tables).args(TABLES.split_whitespace()),
    };
    command.args(["--updates", &updates.to_string()]);
    if !scenario.crashes.is_empty() {
        let list: Vec<_> = scenario.crashes.iter().map(|it| it.to_variable()).collect();
        command.env("SYNC_REPLICAS_CRASH_AT", list.join(","));
        command.env("SYNC_REPLICAS_CRASH_MARKS", &marks);
    }
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
    let mut launcher = command.spawn()?;
    let watched = watch(&mut launcher, scenario, folder);
    let left = left_behind(folder);
    for process in &left {
        send("KILL", process);
    }
    let mark = |place: usize| read_mark(&marks, place).is_some();
    let struck = (0..scenario.crashes.len()).map(mark).collect();
    let (status, ending) = watched?;
    if !left.is_empty() {
        return Err(format!("{} processes outlived the launcher", left.len()).into());
    }
    let text = |path: PathBuf| fs::read_to_string(path);
    Ok(Ended { status, out: text(out)?, err: text(err)?, struck, ending })
}

/// Waits for the launcher; does what else is to happen when a process is at its point, and has
/// stopped processes go on when it is time. How it ended, and how long after an interrupt.
fn watch(
    launcher: &mut Child,
    scenario: &Scenario,
    folder: &Path,
) -> Result<(ExitStatus, Option<Duration>)> {
    let (begun, marks) = (Instant::now(), folder.join("marks"));
    let mut struck = vec![None; scenario.crashes.len()];
    let mut interrupted: Option<Instant> = None;
    loop {
        if let Some(status) = launcher.try_wait()? {
            return Ok((status, interrupted.map(|it| it.elapsed())));
        }
        for (place, crash) in scenario.crashes.iter().enumerate() {
            let Some(process) = read_mark(&marks, place) else { continue };
            if struck[place].is_none() {
                struck[place] = Some(Instant::now());
                match crash.signal {
                    Signal::Interrupt | Signal::KillAndInterrupt => {
                        send("INT", &launcher.id().to_string());
                        interrupted.get_or_insert_with(Instant::now);
                    }
                    Signal::KillOther(other) => {
                        let words = role(other);
                        processes_of(folder, &words).iter().for_each(|it| send("KILL", it));
                    }
                    Signal::Kill | Signal::Stop(_) | Signal::Hang(_) | Signal::Full => {}
                }
            }
            let stands = match crash.signal {
                Signal::Kill | Signal::KillAndInterrupt | Signal::Full => continue,
                Signal::Stop(time) | Signal::Hang(time) => time,
                // So that what happens meanwhile is known before it goes on.
                Signal::Interrupt | Signal::KillOther(_) => SHORT,
            };
            // Again and again, as it may take a while until the process really stops.
            if struck[place].is_some_and(|since: Instant| since.elapsed() > stands) {
                match crash.signal {
                    Signal::Hang(_) => fs::write(marks.join(format!("{place}.go")), "")?,
                    _ => send("CONT", &process),
                }
            }
        }
        if begun.elapsed() > DEADLINE {
            let (_, _) = (launcher.kill(), launcher.wait());
            return Err(format!("it was not over after {} s", DEADLINE.as_secs()).into());
        }
        sleep(LOOK);
    }
}

/// `ps-1` as the launcher writes it on a command line.
fn role(process: &str) -> String {
    let (role, index) = process.split_once('-').unwrap_or((process, "0"));
    format!("--role\0{role}\0--index\0{index}\0")
}

/// The process that a crash struck, once it has.
fn read_mark(marks: &Path, place: usize) -> Option<String> {
    let text = fs::read_to_string(marks.join(place.to_string())).ok()?;
    text.strip_suffix('\n').map(str::to_owned)
}

fn send(signal: &str, process: &str) {
    // It may have ended just now, which `kill` says.
    let kill =
        Command::new("kill").args([&format!("-{signal}"), process]).stderr(Stdio::null()).status();
    drop(kill);
}

/// Processes of the folder, once they had time to end.
fn left_behind(folder: &Path) -> Vec<String> {
    let since = Instant::now();
    loop {
        let left = processes_of(folder, "");
        if left.is_empty() || since.elapsed() > LATE {
            return left;
        }
        sleep(LOOK);
    }
}

/// Those that name the folder, on the command line or, as a program of its own, only in the
/// environment, and have these words. Where the system lists no processes, none are found.
fn processes_of(folder: &Path, words: &str) -> Vec<String> {
    let name = folder.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(|it| it.ok());
    let has =
        |line: &[u8], part: &[u8]| part.is_empty() || line.windows(part.len()).any(|it| it == part);
    let found = entries.filter(|entry| {
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let line = read("cmdline");
        has(&line, words.as_bytes()) && (has(&line, name) || has(&read("environ"), name))
    });
    found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
