//! Processes of a launched cluster that somebody asks to end, one by one and all at once.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr};

use crate::cluster::{begun, process_of};
use crate::program::{folder, json, run, send};

const SIZES: [&str; 6] = ["--ps", "2", "--workers", "3", "--backup", "1"];

/// A training that goes on until it is told otherwise.
fn endless(folder: &Path) -> (Child, BufReader<ChildStderr>) {
    begun(folder, &[&SIZES[..], &["--updates", "1000000", "--save-every", "1000000"]].concat())
}

/// How the launcher ended, and what it said.
fn ended(child: Child, mut err: BufReader<ChildStderr>) -> (Option<i32>, String, String) {
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    let output = child.wait_with_output().expect("ends");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), rest)
}

/// The step of the newest checkpoint, if there is one; none of them is torn.
fn newest(folder: &Path) -> Option<i64> {
    let entries = std::fs::read_dir(folder.join("a/checkpoint")).expect("is there").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok()).max()
}

/// P-5: whoever is asked to end leaves, a server once the cluster is saved; the launcher starts it
/// again, and training goes on.
#[test]
fn a_process_that_is_asked_to_end_is_started_again() {
    #[track_caller]
    fn check(log: &str, name: &str, signal: &str, status: i32) {
        let folder = folder();
        let (child, mut err) = endless(folder.path());
        send(signal, process_of(folder.path(), log).expect("it runs"));
        let told = format!("{name}: ended with status {status}; it is started again");
        let mut line = String::new();
        while !line.starts_with(&told) {
            line.clear();
            assert!(err.read_line(&mut line).expect("is text") > 0, "no `{told}`");
        }
        if name.starts_with("ps") {
            assert!(newest(folder.path()) > Some(0), "{name} left unsaved");
        }
        // It is back once there are updates again.
        while !line.starts_with("update ") {
            line.clear();
            assert!(err.read_line(&mut line).expect("is text") > 0, "no update after {name}");
        }
        send("TERM", child.id());
        let (status, out, rest) = ended(child, err);
        assert_eq!(status, Some(143), "{rest}");
        let summary = json(&out);
        assert_eq!(newest(folder.path()), summary["updates"].as_i64(), "{rest}");
    }
    check("ps-1.log", "ps 1", "TERM", 143);
    check("ps-0.log", "ps 0", "TERM", 143);
    check("ps-0.log", "ps 0", "HUP", 129);
    check("worker-2.log", "worker 2", "TERM", 143);
    check("worker-0.log", "worker 0", "INT", 130);
}

/// What a scheduler does to a job: every process gets the signal at once. And what an operator may
/// do: some get it just before all do. Nobody is waited for who left and is not started again.
#[test]
fn a_signal_to_many_leaves_one_whole_checkpoint() {
    #[track_caller]
    fn check(logs: &[&str]) {
        let folder = folder();
        let (child, err) = endless(folder.path());
        let process = |log: &&str| process_of(folder.path(), log).expect("it runs");
        let processes: Vec<_> = logs.iter().map(process).collect();
        processes.into_iter().for_each(|process| send("TERM", process));
        send("TERM", child.id());
        let (status, _, rest) = ended(child, err);
        assert_eq!(status, Some(143), "{logs:?}: {rest}");
        assert!(newest(folder.path()) > Some(0), "{logs:?}: {rest}");
    }
    check(&["worker-2.log", "ps-1.log", "worker-0.log", "ps-0.log", "worker-1.log"]);
    check(&["ps-0.log"]);
    check(&["ps-1.log"]);
    check(&["ps-0.log", "ps-1.log"]);
    check(&["worker-1.log", "worker-2.log"]);
    check(&["worker-0.log"]);
}

#[test]
fn a_launcher_passes_a_wish_for_a_checkpoint_on() {
    let folder = folder();
    let (child, err) = endless(folder.path());
    for log in ["ps-1.log", "worker-1.log", "worker-0.log"] {
        send("USR1", process_of(folder.path(), log).expect("it runs"));
    }
    send("USR1", child.id());
    while newest(folder.path()) == Some(0) {
        std::thread::yield_now();
    }
    // The end of training as a whole is nobody's failure.
    let said = run(folder.path(), &["stop", "a"]);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{}", said.out);
    let (status, out, rest) = ended(child, err);
    assert_eq!(status, Some(0), "{rest}");
    assert!(!rest.contains("started again"), "{rest}");
    assert_eq!(newest(folder.path()), json(&out)["updates"].as_i64(), "{rest}");
}

/// P-28: a chief that hangs while the others come to the end is killed, and its next life has the
/// result of a training that ended at any update; another worker that hangs is only told of.
#[test]
fn a_worker_that_hangs_does_not_keep_the_end_from_the_launcher() {
    #[track_caller]
    fn check(log: &str, told: &str) {
        let folder = folder();
        let updates = ["--updates", "1000000", "--patience", "1s"];
        let (child, err) = begun(folder.path(), &[&SIZES[..], &updates].concat());
        send("STOP", process_of(folder.path(), log).expect("it runs"));
        let said = run(folder.path(), &["stop", "a"]);
        assert_eq!(said.status, 0, "{}", said.err);
        let (status, out, rest) = ended(child, err);
        assert_eq!(status, Some(0), "{rest}");
        assert!(rest.contains(told), "{rest}");
        assert_eq!(newest(folder.path()), json(&out)["updates"].as_i64(), "{rest}");
    }
    check("worker-0.log", "worker 0: was ended by signal 9; it is started again");
    check("worker-2.log", "worker 2: still runs 15 s after the end, and is killed");
}
