//! Ctrl-C, sent to a real process.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use crate::program::{folder, json, program, train};

/// Long enough that only a signal ends it within a test's life.
const LONG: [&str; 4] = ["--updates", "1000000", "--straggler", "none"];

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
}

/// A child, once training has begun.
fn begun(folder: &std::path::Path, args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
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
    interrupt(&child);
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{rest}");
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
    interrupt(&child);
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success());
    assert_eq!(json(&String::from_utf8_lossy(&output.stdout))["updates"], 0);
}
