//! A cluster with one slow worker, looked at while it runs: every view names that worker.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

#[cfg(target_os = "linux")]
use crate::cluster::{begun, process_of};
use crate::program::{folder, program, run, send};

// P-23
#[test]
fn a_slow_worker_is_named_while_the_cluster_runs() {
    let folder = folder();
    let launch = ["launch", "--out", "a", "--ps", "2", "--workers", "3", "--backup", "1"];
    let slow = ["--straggler", "1=50", "--updates", "1000000"];
    let mut child = program(folder.path(), &[&launch[..], &slow].concat());
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("is piped")).lines();
    let begun = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("update "));
    assert!(begun, "it ended before an update");
    std::thread::spawn(move || lines.for_each(drop));

    let mut watch = program(folder.path(), &["status", "--watch", "a"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().expect("starts");
    let named = "! Replace replica 1: ";
    let lines = BufReader::new(watch.stdout.take().expect("is piped")).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("! "));
    assert!(line.as_ref().is_some_and(|line| line.starts_with(named)), "{line:?}");
    // Whoever reads no more ends it, in peace.
    assert!(watch.wait().expect("it ends").success());

    let launched = std::fs::read_to_string(folder.path().join("a/launch.json")).expect("is there");
    let launched: Value = serde_json::from_str(&launched).expect("JSON");
    let address = launched["ps"][0].as_str().expect("an address");
    let key = folder.path().join("a/launch.key").display().to_string();
    let said = run(folder.path(), &["plan", address, "--key-file", &key]);
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.out.contains("Replace replica 1: "), "{}", said.out);
    let said = run(folder.path(), &["plan", address]);
    assert!(said.status != 0 && said.err.contains("key"), "without the key: {}", said.err);

    send("INT", child.id());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(130));
}

// What is refused leaves nothing that is in the way of the next try.
#[test]
fn a_port_that_is_taken_is_said_before_anything_is_written() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it has one").port().to_string();
    let words = ["train", "--updates", "2", "--out", "a", "--dashboard", port.as_str()];
    let said = run(folder.path(), &words);
    assert_ne!(said.status, 0);
    assert!(said.err.contains("cannot be used"), "{}", said.err);
    assert!(!folder.path().join("a").exists(), "a folder is left");
    assert_eq!(run(folder.path(), &words[..5]).status, 0);
}

// A server that is started again is watched on.
#[cfg(target_os = "linux")]
#[test]
fn who_watches_sees_the_server_come_back() {
    let folder = folder();
    let (child, err) = begun(folder.path(), &["--workers", "2", "--updates", "1000000"]);
    std::thread::spawn(move || err.lines().for_each(drop));
    let mut watch = program(folder.path(), &["status", "--watch", "a"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("is piped")).lines();
    let mut until = |words: &str| {
        let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(words));
        assert!(found, "{words} was never said");
    };
    until("of 2: training");
    send("KILL", process_of(folder.path(), "ps-0.log").expect("it runs"));
    // It may be back before anybody looks.
    (0..5).for_each(|_| until("of 2: training"));
    send("INT", child.id());
    assert_eq!(child.wait_with_output().expect("ends").status.code(), Some(130));
    // The training has ended, or its addresses are gone.
    assert!(watch.wait().expect("it ends").success());
}
