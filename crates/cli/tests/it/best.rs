//! The best checkpoint, which is kept, and a metric that ends training.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{folder, json, run, train};

/// It learns for thirty updates, and then forgets all of it.
const FORGETS: [&str; 9] = [
    "--model",
    "softmax",
    "--optimizer",
    "sgd",
    "--schedule",
    "piecewise:values=0.5/1000,boundaries=30",
    "--deterministic",
    "--straggler",
    "none",
];

fn read(folder: &Path, name: &str) -> Value {
    json(&fs::read_to_string(folder.join(name)).expect("is written"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("is there");
    let names = entries.map(|entry| entry.expect("can be listed").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("checkpoint-")).collect()
}

// P-24: whatever comes later, the best one is there, and a run goes on from it.
#[test]
fn the_best_checkpoint_stays() {
    let folder = folder();
    let often = ["--eval-every", "10", "--save-every", "5", "--keep-best", "loss"];
    let go = |options: &[&str]| train(folder.path(), &[&FORGETS[..], &often, options].concat());
    let first = go(&["--updates", "60", "--out", "a"]);
    let (step, value) = (first["best_step"].as_u64(), first["best_value"].as_f64());
    assert!(step == Some(30) && value.is_some_and(|it| it < 1.0), "{first}");
    assert!(value < first["loss"].as_f64(), "{first}");
    let best = first["best_checkpoint"].as_str().expect("is kept").to_owned();
    let name = format!("checkpoint-{:09}", step.unwrap_or_default());
    assert_eq!(best, format!("a/best/{name}"));
    assert_eq!(names(&folder.path().join("a/best")), [name]);
    let kept = read(&folder.path().join("a"), "best.json");
    assert_eq!((&kept["metric"], &kept["value"]), (&"loss".into(), &first["best_value"]));
    assert_eq!(kept["step"], first["best_step"]);

    // Going on as it was makes it no better.
    let second = go(&["--updates", "80", "--resume", "a"]);
    assert_eq!((&second["best_checkpoint"], &second["best_step"]), (&best.into(), &kept["step"]));
    // Another run goes on from it, and the same one does.
    for (out, updates) in [("b", "41"), ("a", "42")] {
        let rest = go(&["--updates", updates, "--resume", "a/best", "--out", out]);
        assert_eq!(rest["resumed_from"], first["best_checkpoint"], "{out}");
        let made = rest["updates_this_run"].as_u64();
        assert_eq!(
            made.zip(step).map(|(made, step)| (made + step).to_string()),
            Some(updates.into())
        );
    }
}

#[test]
fn a_best_that_cannot_be_written_is_a_warning() {
    let folder = folder();
    fs::create_dir(folder.path().join("a")).expect("is new");
    fs::write(folder.path().join("a/best"), "in the way").expect("is writable");
    let options = ["--updates", "5", "--keep-best", "loss", "--out", "a", "--quiet", "--json"];
    let said = run(folder.path(), &[&["train"], &FORGETS[..], &options].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    let warning = "update 1: it is the best so far, but not kept: making the folder a/best failed";
    assert!(said.err.contains(warning), "{}", said.err);
    assert_eq!(json(&said.out).get("best_step"), None);
}

#[test]
fn a_damaged_note_of_the_best_is_told() {
    let folder = folder();
    fs::create_dir(folder.path().join("a")).expect("is new");
    fs::write(folder.path().join("a/best.json"), "{\"value\":").expect("is writable");
    let options = ["--updates", "5", "--keep-best", "loss", "--out", "a", "--quiet", "--json"];
    let said = run(folder.path(), &[&["train"], &FORGETS[..], &options].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.err.contains("warning: a/best.json is damaged"), "{}", said.err);
    assert!(json(&said.out).get("best_step").is_some());
}

#[test]
fn without_the_option_nothing_is_kept() {
    let folder = folder();
    let summary = train(folder.path(), &["--updates", "5", "--straggler", "none", "--out", "a"]);
    for key in ["best_step", "best_value", "best_checkpoint", "stopped_by"] {
        assert_eq!(summary.get(key), None);
    }
    assert!(!folder.path().join("a/best").exists());
}

// A metric that is good enough, or no better for long, is an end and no interruption.
#[test]
fn a_metric_ends_training() {
    #[track_caller]
    fn check(rule: &str, words: &str, updates: impl Fn(u64) -> bool) {
        let folder = folder();
        let options = ["--eval-every", "10", "--updates", "5000", "--out", "a", "--json"];
        let args = [&["train", "--stop-when", rule], &FORGETS[..], &options].concat();
        let said = run(folder.path(), &args);
        assert_eq!(said.status, 0, "{}", said.err);
        let summary = json(&said.out);
        let ended = summary["stopped_by"].as_str().expect("is told");
        assert!(ended.starts_with("--stop-when ") && ended.contains(words), "{ended}");
        assert!(said.err.contains(&format!("Training ended by {ended}.")), "{}", said.err);
        assert!(!said.err.contains("interrupted"), "{}", said.err);
        assert_eq!(summary["interrupted"], false);
        let last = summary["updates"].as_u64().expect("a count");
        assert!(updates(last), "{rule}: {last}");
        let newest = summary["checkpoint"].as_str().expect("is saved");
        assert!(newest.ends_with(&last.to_string()), "{newest}");
    }
    check("test_accuracy>=0.8", "it was 0.", |last| last <= 30);
    check("loss <= 1.5", "loss<=1.5: it was ", |last| last <= 30);
    check("loss,tests=3", "at update 30, none since then", |last| last == 60);
}

#[test]
fn in_a_cluster_the_evaluator_keeps_the_best() {
    let folder = folder();
    let launch = ["launch", "--workers", "2", "--evaluator", "--save-every", "5", "--json"];
    let options = ["--updates", "60", "--keep", "20", "--keep-best", "test_accuracy", "--out", "a"];
    let said = run(folder.path(), &[&launch[..], &FORGETS, &options].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    let summary = json(&said.out);
    let tests = fs::read_to_string(folder.path().join("a/evaluations.jsonl")).expect("is written");
    let tests: Vec<Value> = tests.lines().map(json).collect();
    assert_eq!(tests.last().map(|test| &test["step"]), Some(&60.into()));
    // Of those that are as good the first.
    let better = |a: &Value, b: &Value| {
        let value = |test: &Value| test["test_accuracy"].as_f64().unwrap_or_default();
        value(b).total_cmp(&value(a)).then(a["step"].as_i64().cmp(&b["step"].as_i64()))
    };
    let best = tests.iter().min_by(|a, b| better(a, b)).expect("was tested");
    assert_eq!(
        (&summary["best_step"], &summary["best_value"]),
        (&best["step"], &best["test_accuracy"])
    );
    let path = summary["best_checkpoint"].as_str().expect("is kept");
    assert_eq!(names(&folder.path().join("a/best")).len(), 1);
    assert!(said.err.contains(&format!("kept in {path}")), "{}", said.err);
    let metrics = read(&folder.path().join("a"), "metrics.jsonl");
    assert_eq!((&metrics["kind"], &metrics["best_step"]), (&"result".into(), &best["step"]));
}

// Every process ends with it, the evaluator too.
#[test]
fn in_a_cluster_a_metric_ends_training() {
    let folder = folder();
    let launch = ["launch", "--workers", "2", "--evaluator", "--eval-every", "10", "--json"];
    let options = ["--updates", "100000", "--stop-when", "test_accuracy>=0.7", "--out", "a"];
    let said = run(folder.path(), &[&launch[..], &FORGETS[..2], &options].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    let summary = json(&said.out);
    let result = read(&folder.path().join("a"), "metrics.jsonl");
    for summary in [&summary, &result] {
        assert_eq!(summary["interrupted"], false);
        let ended = summary["stopped_by"].as_str().expect("is told");
        assert!(ended.starts_with("--stop-when test_accuracy>=0.7: it was 0."), "{ended}");
    }
    let last = read(&folder.path().join("a"), "evaluations.jsonl");
    assert_eq!(last["step"], summary["updates"]);
}
