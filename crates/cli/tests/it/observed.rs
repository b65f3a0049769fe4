//! A cluster with one slow worker, looked at while it runs: every view names that worker.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

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
