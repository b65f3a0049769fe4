//! Signals, sent to a real process: what each asks for is done, and nothing more.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::program::{folder, json, program, send, train};

/// Long enough that only a signal ends it within a test's life.
const LONG: [&str; 4] = ["--updates", "1000000", "--straggler", "none"];

/// A child, once training has begun.
pub fn begun(folder: &Path, args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = program(folder, &[&LONG[..], args].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut err = BufReader::new(child.stderr.take().expect("is piped"));
    let mut line = String::new();
    err.read_line(&mut line).expect("is text");
    assert!(line.starts_with("update "), "{line}");
    (child, err)
}

#[test]
fn the_first_interrupt_leaves_a_checkpoint_to_go_on_from() {
    let folder = folder();
    let (child, mut err) = begun(folder.path(), &["--json", "--out", "a"]);
    send("INT", child.id());
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(130), "{rest}");
    let summary = json(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(summary["interrupted"], true);
    assert!(rest.contains("interrupted; continue with: "), "{rest}");
    assert!(rest.contains("--updates 1000000 --straggler none --json --resume a"), "{rest}");

    let reached = summary["updates"].as_u64().expect("is a count");
    let target = (reached + 5).to_string();
    let args = ["--updates", &target, "--straggler", "none", "--resume", "a"];
    let resumed = train(folder.path(), &args);
    assert_eq!(resumed["updates_this_run"], 5, "nothing that was trained is lost");
}

// P-24: whatever the file of settings says, the printed command goes on where the run was.
#[test]
fn a_run_with_a_file_of_settings_goes_on_in_its_folder() {
    let folder = folder();
    std::fs::write(folder.path().join("a.toml"), "out = \"b\"\nquiet = false\n").expect("a file");
    let (child, mut err) = begun(folder.path(), &["--config", "a.toml", "--out", "a"]);
    send("INT", child.id());
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    assert_eq!(child.wait_with_output().expect("ends").status.code(), Some(130), "{rest}");
    assert!(rest.contains("--config a.toml --out a --resume a\n"), "{rest}");
    assert!(!folder.path().join("b").exists());
}

// P-1: also when every replica sleeps or waits.
#[test]
fn an_interrupt_does_not_wait_for_stragglers() {
    let folder = folder();
    let slow = ["--straggler", "0=600000", "-a", "2", "-n", "2", "--out", "a", "--json"];
    let mut command = program(folder.path(), &[&["--updates", "9"], &slow[..]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().expect("starts");
    // The metrics are made once the first checkpoint is about to be saved.
    let saved = folder.path().join("a/checkpoint/checkpoint-000000000/manifest.json");
    while !saved.exists() {
        std::thread::yield_now();
    }
    send("INT", child.id());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(json(&String::from_utf8_lossy(&output.stdout))["updates"], 0);
}

/// The steps of the checkpoints in a run folder, the newest last.
fn saved(run: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(run.join("checkpoint")).into_iter().flatten().flatten();
    let whole = entries.filter(|entry| entry.path().join("manifest.json").exists());
    let step = |name: String| name.strip_prefix("checkpoint-").and_then(|it| it.parse().ok());
    let mut steps: Vec<u64> =
        whole.filter_map(|it| step(it.file_name().to_string_lossy().into_owned())).collect();
    steps.sort_unstable();
    steps
}

/// A signal ends training with 128 and its number, and the last checkpoint is on disk. Supervisors
/// send it twice, and wrappers pass on what the terminal has sent already.
#[test]
fn an_end_that_was_asked_for_is_no_success_and_is_saved() {
    #[track_caller]
    fn check(signals: &[&str], status: i32) {
        let folder = folder();
        // Each save takes a while.
        let wide = ["--hidden", "3000", "-b", "1", "-a", "1", "-n", "1"];
        let (child, mut err) =
            begun(folder.path(), &[&wide[..], &["--json", "--out", "a"]].concat());
        signals.iter().for_each(|signal| send(signal, child.id()));
        let mut rest = String::new();
        err.read_to_string(&mut rest).expect("is text");
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(status), "{signals:?}: {rest}");
        let summary = json(&String::from_utf8_lossy(&output.stdout));
        let updates = summary["updates"].as_u64();
        assert_eq!(saved(&folder.path().join("a")).last().copied(), updates, "{signals:?}");
    }
    check(&["INT"], 130);
    check(&["INT", "INT"], 130);
    check(&["TERM"], 143);
    check(&["TERM", "TERM", "TERM"], 143);
    check(&["HUP", "TERM", "HUP"], 129);
}

/// Whoever is impatient ends it at once, with what was saved before.
#[test]
fn ctrl_c_again_ends_at_once() {
    let folder = folder();
    let wide = ["--hidden", "30000", "-b", "1", "-a", "1", "-n", "1", "--out", "a"];
    let mut command = program(folder.path(), &[&LONG[..], &wide[..]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    while saved(&folder.path().join("a")).is_empty() {
        std::thread::yield_now();
    }
    // Until one is late enough not to be the echo of the first; a run that is saved has 130, too.
    while child.try_wait().expect("it is ours").is_none() {
        let id = child.id().to_string();
        drop(Command::new("kill").args(["-INT", &id]).stderr(Stdio::null()).status());
    }
    assert_eq!(child.wait().expect("ended").code(), Some(130));
}

/// Slurm warns with SIGUSR1 before the limit: what there is is saved, and training goes on.
#[test]
fn a_checkpoint_is_written_when_it_is_asked_for() {
    let folder = folder();
    let (child, mut err) = begun(folder.path(), &["--save-every", "1000000", "--out", "a"]);
    let run = folder.path().join("a");
    send("USR1", child.id());
    while saved(&run).last().is_none_or(|&step| step == 0) {
        std::thread::yield_now();
    }
    send("TERM", child.id());
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    assert_eq!(child.wait_with_output().expect("ends").status.code(), Some(143), "{rest}");
}

/// `nohup` has its program ignore SIGHUP, which it does to its end.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let folder = folder();
    let words = "trap '' HUP; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.current_dir(folder.path()).args(["-c", words, env!("CARGO_BIN_EXE_sync-replicas")]);
    command.args(LONG).args(["--out", "a"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut err = BufReader::new(child.stderr.take().expect("is piped"));
    let mut line = String::new();
    err.read_line(&mut line).expect("is text");
    // Were the first one heard, it would be the one whose status counts.
    send("HUP", child.id());
    send("TERM", child.id());
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    assert_eq!(child.wait().expect("ends").code(), Some(143), "{rest}");
}
