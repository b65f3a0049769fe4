//! A program that is not ours, through `launch`: servers that know nothing of it serve it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;

use crate::cluster::process_of;
use crate::program::{Said, folder, program, run, send};

/// `examples/own_model.rs`, which cargo builds beside the tests.
pub fn own_model() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_sync-replicas"));
    let example = program.with_file_name("examples").join("own_model");
    assert!(example.exists(), "build it first: cargo build -p cli --all-features --examples");
    example
}

fn launch(folder: &Path, sizes: &[&str], options: &[&str]) -> Command {
    let mut command = program(folder, &[&["launch", "--out", "a"], sizes, &["--"]].concat());
    command.arg(own_model()).args(options);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A training that runs, once it has made updates.
fn begun(folder: &Path, options: &[&str]) -> (Child, BufReader<ChildStderr>) {
    let sizes = ["--ps", "2", "--workers", "4", "--backup", "1", "--save-every", "20"];
    let mut child = launch(folder, &sizes, options).spawn().expect("the program starts");
    let mut err = BufReader::new(child.stderr.take().expect("is piped"));
    until_update(&mut err);
    (child, err)
}

#[track_caller]
fn until_update(err: &mut impl BufRead) -> String {
    until(err, "update ")
}

#[track_caller]
fn until(err: &mut impl BufRead, begins: &str) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(err.read_line(&mut line).expect("is text") > 0, "no `{begins}`: {all}");
        all += &line;
        if line.starts_with(begins) {
            return line;
        }
    }
}

fn ended(child: Child, mut err: impl Read) -> Said {
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    let output = child.wait_with_output().expect("it ends");
    let (status, out) = (output.status.code().unwrap_or(-1), output.stdout);
    Said { status, out: String::from_utf8_lossy(&out).into_owned(), err: rest }
}

/// The worker of this number in the run of a folder, by its environment.
fn worker(folder: &Path, number: u64) -> Option<u32> {
    let root = folder.canonicalize().expect("it is there").join("a");
    let wanted = [
        format!("SYNC_REPLICAS_RUN_DIR={}", root.display()),
        format!("\"task\":{{\"index\":{number},\"type\":\"worker\"}}"),
    ];
    std::fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|entry| {
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let environment = String::from_utf8_lossy(&environment);
        let is_it = wanted.iter().all(|it| environment.contains(it.as_str()));
        is_it.then(|| entry.file_name().to_string_lossy().parse().ok())?
    })
}

/// What became of the training: the line of the result.
fn result(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("a/metrics.jsonl")).expect("is written");
    let last = text.lines().last().expect("there are lines");
    let line: Value = serde_json::from_str(last).expect("is JSON");
    assert_eq!(line["kind"], "result", "{line}");
    line
}

/// P-14, P-15: a worker, the chief and both servers are killed, one after the other, and the result
/// is that of a training without, to the bit.
#[test]
fn what_is_killed_changes_no_bit() {
    let options = ["--updates", "150", "--pause", "20"];
    let calm = folder();
    let said: Said = launch(calm.path(), &["--ps", "1", "--workers", "3"], &["--updates", "150"])
        .output()
        .expect("the program starts")
        .into();
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.out.starts_with("step 150: "), "{}", said.out);
    let page = std::fs::read_to_string(calm.path().join("a/report.html")).expect("is drawn");
    for replica in 0..3 {
        assert!(page.contains(&format!("replica {replica}, step ")), "it is in the timeline");
    }

    let folder = folder();
    let (child, mut err) = begun(folder.path(), &options);
    for number in [2, 0] {
        send("KILL", worker(folder.path(), number).expect("it runs"));
        until(&mut err, &format!("worker {number}: was ended by signal 9"));
        until_update(&mut err);
    }
    for log in ["ps-1.log", "ps-0.log"] {
        send("KILL", process_of(folder.path(), log).expect("it runs"));
        until_update(&mut err);
    }
    let killed = ended(child, err);
    assert_eq!(killed.status, 0, "{}", killed.err);
    assert_eq!(killed.out, said.out, "{}", killed.err);
    let manifest = folder.path().join("a/checkpoint/checkpoint-000000150/manifest.json");
    let manifest = std::fs::read_to_string(manifest).expect("is written");
    for defined in ["\"definition\":{", "\"momentum\":{", "\"slopes\":[600,40]", "\"f64\""] {
        assert!(manifest.contains(defined), "no {defined} in {manifest}");
    }
    let (result, calm) = (result(folder.path()), result(calm.path()));
    assert_eq!(result["variables_sha256"], calm["variables_sha256"]);
    assert_eq!((&result["updates"], &result["optimizer"]), (&150.into(), &"momentum".into()));
    assert!(result["generation"].as_u64() > calm["generation"].as_u64(), "{result}");
}

/// P-24: an interrupted program goes on by the command that is printed, to the bits of one that
/// was not interrupted.
#[test]
fn an_interrupted_program_goes_on() {
    let folder = folder();
    let (child, err) = begun(folder.path(), &["--updates", "120", "--pause", "20"]);
    send("INT", child.id());
    let said = ended(child, err);
    assert_eq!(said.status, 130, "{}", said.err);
    let printed = said.err.split_once("continue with: ").expect(&said.err).1;
    let words: Vec<_> = printed.lines().next().unwrap_or_default().split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).current_dir(folder.path()).output();
    let again = Said::from(output.expect("it starts"));
    assert_eq!(again.status, 0, "{printed}: {}", again.err);
    assert!(again.err.contains("going on from"), "{}", again.err);
    let calm = crate::program::folder();
    let whole: Said = launch(calm.path(), &["--workers", "3"], &["--updates", "120"])
        .output()
        .expect("the program starts")
        .into();
    assert_eq!(again.out, whole.out, "{}", whole.err);
    // Who was slow is told of such a run as of any.
    let said = run(folder.path(), &["plan", "a"]);
    assert!(said.status == 0 && said.out.contains("Who is slow?"), "{} {}", said.out, said.err);
}

/// None outlives the launcher, however that ends.
#[test]
fn a_program_ends_with_its_launcher() {
    let folder = folder();
    let (mut child, _err) = begun(folder.path(), &["--updates", "1000000"]);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let runs = |number| worker(folder.path(), number).is_some();
    while (0..4).any(runs) || process_of(folder.path(), "ps-0.log").is_some() {
        std::thread::yield_now();
    }
}

#[test]
fn what_is_wrong_is_said() {
    #[track_caller]
    fn check(words: &[&str], status: i32, expected: &str) {
        let folder = folder();
        let said = run(folder.path(), &[&["launch", "--out", "a"], words].concat());
        assert_eq!(said.status, status, "{}", said.err);
        assert!(said.err.contains(expected), "{}", said.err);
    }
    let own = own_model();
    let own = own.to_str().expect("is text");
    check(&["--learning-rate", "0.1", "--", own], 2, "--learning-rate is of our own models");
    check(&["--evaluator", "--", own], 2, "--evaluator is of our own models");
    check(&["--wire", "bf16", "--", own], 2, "--wire is of our own models");
    check(&["--wire=bf16", "--", own], 2, "--wire is of our own models");
    check(&["--workers", "2", "--backup", "2", "--", own], 2, "fewer than the 2 workers");
    check(&["--workers", "1", "--", "/bin/true"], 1, "has ended, and training has not");
    check(&["--", "./no-such-program"], 1, "./no-such-program: No such file");
    // Its own error is on the terminal, and its status is told.
    check(&["--", own, "--updates", "many"], 1, "worker 0 ended with status 1");
    // More than the servers may have.
    check(&["--max-memory", "1", "--workers", "1", "--", own, "--updates", "5"], 1, "--max-memory");
}
