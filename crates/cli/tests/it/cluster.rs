//! A cluster of real processes on one machine, and what becomes of it when one is killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

#[cfg(unix)]
use crate::program::send;
use crate::program::{folder, json, program, run};

/// The launched training, once its first updates are made; its standard error is read on.
pub fn begun(folder: &Path, args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
    let launch = ["launch", "--out", "a", "--json", "--straggler", "none", "--lease", "2s"];
    let mut command = program(folder, &[&launch[..], args].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut err = BufReader::new(child.stderr.take().expect("is piped"));
    let mut line = String::new();
    while !line.starts_with("update ") {
        line.clear();
        assert!(err.read_line(&mut line).expect("is text") > 0, "it ended before an update");
    }
    // What a lost server goes back to.
    while !has_checkpoint(&folder.join("a/checkpoint")) {
        std::thread::yield_now();
    }
    (child, err)
}

fn has_checkpoint(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.any(|entry| entry.path().join("manifest.json").exists())
}

/// The process that writes this log, found by its command line.
#[cfg(target_os = "linux")]
pub fn process_of(folder: &Path, log: &str) -> Option<u32> {
    let log = folder.join("a/logs").join(log);
    let ends = format!("a/logs/{}", log.file_name()?.to_string_lossy());
    let ours = std::fs::canonicalize(folder).ok()?;
    std::fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|entry| {
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        let matches = words.split(|byte| *byte == 0).any(|word| word == ends.as_bytes());
        let here = std::fs::read_link(entry.path().join("cwd")).ok()? == ours;
        (matches && here).then(|| entry.file_name().to_string_lossy().parse().ok())?
    })
}

#[test]
fn processes_train_as_threads_do() {
    let folder = folder();
    let args = ["launch", "--ps", "2", "--workers", "3", "--backup", "1", "--updates", "60"];
    let said = run(folder.path(), &[&args[..], &["--out", "a", "--json", "--quiet"]].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    let summary = json(&said.out);
    assert_eq!(summary["updates"], 60);
    assert!(summary["test_accuracy"].as_f64().expect("a number") > 0.9, "{summary}");
    for file in ["report.html", "timeline.svg", "logs/ps-1.log", "logs/worker-2.log"] {
        assert!(folder.path().join("a").join(file).exists(), "{file}");
    }
    let count = |value: &Value| value.as_u64().expect("is a count");
    let replicas = summary["replicas"].as_array().expect("is a list");
    assert_eq!(replicas.len(), 3, "{summary}");
    for name in ["batches", "accepted", "stale", "duplicates", "unused", "superseded"] {
        let sum: u64 = replicas.iter().map(|replica| count(&replica[name])).sum();
        assert_eq!(sum, count(&summary[name]), "{name}: {summary}");
    }
    assert_eq!(count(&summary["accepted"]), 60 * 2);
    let history = Lines::of(&folder.path().join("a/metrics.jsonl"));
    assert_eq!(history.updates(), (1..=60).collect::<Vec<_>>());
    let told = history.of_kind("result").next_back().expect("it has ended").clone();
    for key in ["accepted", "batches", "replicas", "seconds", "test_accuracy"] {
        assert_eq!(told[key], summary[key], "{key}");
    }
    let accepted = history.of_kind("batch").filter(|line| line["outcome"] == "accepted").count();
    assert_eq!(accepted as u64, count(&summary["accepted"]) + count(&summary["unused"]));
    let page = std::fs::read_to_string(folder.path().join("a/report.html")).expect("is there");
    for replica in 0..3 {
        assert!(page.contains(&format!("replica {replica}, step ")), "it is in the timeline");
    }
    let planned = run(folder.path(), &["plan", "a"]);
    assert_eq!(planned.status, 0, "{}", planned.err);
}

/// The lines of a file of metrics.
struct Lines(Vec<Value>);

impl Lines {
    fn of(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("is written");
        Self(text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect())
    }

    fn of_kind(&self, kind: &str) -> impl DoubleEndedIterator<Item = &Value> {
        self.0.iter().filter(move |line| line["kind"] == kind)
    }

    /// The steps of the updates that stand.
    fn updates(&self) -> Vec<i64> {
        let mut steps: Vec<i64> = Vec::new();
        for line in &self.0 {
            let step = line["step"].as_i64().unwrap_or_default();
            match line["kind"].as_str() {
                Some("restore") => steps.retain(|it| *it <= step),
                Some("update") => steps.push(step),
                _ => {}
            }
        }
        steps
    }
}

/// P-5: whoever is killed, the training ends with all its updates.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_process_is_started_again() {
    #[track_caller]
    fn check(log: &str, name: &str) {
        let folder = folder();
        let sizes = ["--ps", "2", "--workers", "3", "--backup", "1", "--updates", "300"];
        let (child, mut err) = begun(folder.path(), &sizes);
        let process = process_of(folder.path(), log).expect("it runs");
        send("KILL", process);
        let mut rest = String::new();
        err.read_to_string(&mut rest).expect("is text");
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{rest}");
        let told = format!("{name}: was ended by signal 9; it is started again");
        assert!(rest.contains(&told), "{rest}");
        let summary = json(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(summary["updates"], 300);
        assert!(summary["test_accuracy"].as_f64().expect("a number") > 0.95, "{summary}");
        // The coordinator is alone in knowing all; what it had not written is made again.
        let updates = Lines::of(&folder.path().join("a/metrics.jsonl")).updates();
        assert_eq!(updates, (1..=300).collect::<Vec<_>>(), "{name}");
    }
    check("worker-1.log", "worker 1");
    check("worker-0.log", "worker 0");
    check("ps-0.log", "ps 0");
    check("ps-1.log", "ps 1");
}

/// What the launcher has to say of a lost worker may find no reader.
#[cfg(target_os = "linux")]
#[test]
fn a_launcher_that_nobody_listens_to_goes_on() {
    let folder = folder();
    let sizes = ["--workers", "3", "--backup", "1", "--updates", "600"];
    let (child, err) = begun(folder.path(), &sizes);
    drop(err);
    let process = process_of(folder.path(), "worker-2.log").expect("it runs");
    send("KILL", process);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(json(&String::from_utf8_lossy(&output.stdout))["updates"], 600);
}

#[cfg(unix)]
#[test]
fn status_metrics_and_an_interrupt() {
    let folder = folder();
    let port = "19317";
    let args = ["--workers", "2", "--updates", "1000000", "--metrics-port", port];
    let (child, mut err) = begun(folder.path(), &args);

    // The page is served beside the training, from a moment on that is not known.
    let mut stream = loop {
        if let Ok(stream) = TcpStream::connect(format!("127.0.0.1:{port}")) {
            break stream;
        }
        std::thread::yield_now();
    };
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("is open");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("is text");
    assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    for line in ["sync_replicas_generation 1.0\n", "sync_replicas_tokens "] {
        assert!(page.contains(line), "{page}");
    }

    let said = run(folder.path(), &["status", "a"]);
    assert!(said.out.contains("2 of 2 gradients make an update"), "{} {}", said.out, said.err);
    assert_eq!(json(&run(folder.path(), &["status", "--json", "a"]).out)["server"], 0);
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::rename(&a, &b).expect("is there");
    let said = run(folder.path(), &["status", "b"]);
    assert_eq!(said.status, 0, "a folder that was moved: {}", said.err);
    // A checkpoint may have been written meanwhile.
    std::fs::remove_dir_all(&a).unwrap_or_default();
    std::fs::rename(&b, &a).expect("is there");

    send("INT", child.id());
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(130), "{rest}");
    assert_eq!(json(&String::from_utf8_lossy(&output.stdout))["interrupted"], true);
    assert!(rest.contains("launch --json --straggler none --lease 2s"), "{rest}");
}

#[test]
fn a_process_without_a_place_says_what_to_do() {
    #[track_caller]
    fn check(args: &[&str], status: i32, words: &str) {
        let folder = folder();
        let mut command = program(folder.path(), args);
        let output = command.env_remove("TF_CONFIG").env_remove("SLURM_PROCID").output();
        let said = crate::program::Said::from(output.expect("starts"));
        assert_eq!(said.status, status, "{}", said.err);
        assert!(said.err.contains(words), "{}", said.err);
    }
    check(&["node"], 2, "`sync-replicas launch`");
    check(&["node", "--role", "worker"], 2, "--worker-hosts");
    check(&["launch", "--workers", "2", "--backup", "2"], 2, "fewer than the 2 workers");
    check(&["launch", "--min-replicas", "2"], 2, "--min-replicas: expected none");
    check(&["status", "127.0.0.1:1"], 1, "expected the status of a parameter server");
    // What the system says is said once.
    #[cfg(target_os = "linux")]
    check(
        &["status", "127.0.0.1:1"],
        1,
        "got: transport error: Connection refused (os error 111)\n",
    );
    check(&["status", "127.0.0.1:1", "--key-file", "none"], 2, "--key-file none");
    let place = "a run folder that is there, or the address of a parameter server: expected host";
    check(&["status", "gone"], 2, place);
    check(&["stop", ""], 2, place);
}
