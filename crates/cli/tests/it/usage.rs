//! The main job: what it writes, what it says, and that its numbers agree with each other.

use std::fs;

use serde_json::Value;

use crate::program::{folder, json, run, train};

const QUICK: [&str; 4] = ["--updates", "12", "--straggler", "4=5"];

#[test]
fn a_run_writes_its_folder() {
    let folder = folder();
    let summary =
        train(folder.path(), &[&QUICK[..], &["--out", "a/b", "--save-every", "5"]].concat());
    assert_eq!(summary["run_dir"], "a/b");
    let run = folder.path().join("a/b");
    let page = fs::read_to_string(run.join("report.html")).expect("is written");
    assert!(page.contains("<svg") && page.contains("replica 4"), "the page has its timeline");
    assert!(fs::read_to_string(run.join("timeline.svg")).expect("is written").contains("xmlns"));
    let mut saved: Vec<String> = fs::read_dir(run.join("checkpoint"))
        .expect("is written")
        .map(|entry| entry.expect("can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    saved.sort();
    assert_eq!(saved, ["checkpoint-000000010", "checkpoint-000000012", "generation"]);
    let left: Vec<_> = fs::read_dir(folder.path()).expect("is there").collect();
    assert_eq!(left.len(), 1, "nothing is written outside the run folder");
}

// P-7, P-8: nothing is dropped silently, and the three counters agree.
#[test]
fn the_numbers_agree() {
    let folder = folder();
    let summary =
        train(folder.path(), &[&QUICK[..], &["--out", "run", "--batch-size", "16"]].concat());
    let number = |value: &Value| value.as_u64().expect("is a count");
    let sum = |name: &str| -> u64 {
        let replicas = summary["replicas"].as_array().expect("is a list");
        replicas.iter().map(|replica| number(&replica[name])).sum()
    };
    assert_eq!(number(&summary["updates"]), 12);
    assert_eq!(number(&summary["accepted"]), sum("accepted"));
    assert_eq!(number(&summary["accepted"]), 12 * 4, "{summary}");
    assert_eq!(number(&summary["examples"]), 16 * sum("accepted"));
    assert_eq!(number(&summary["stale"]), sum("stale"));
    assert_eq!(number(&summary["superseded"]), sum("superseded"));
    assert_eq!(number(&summary["unused"]), sum("unused"));
    let pushed = ["accepted", "stale", "duplicates", "unused"].map(sum).iter().sum::<u64>();
    assert_eq!((number(&summary["batches"]), sum("batches")), (pushed, pushed));
    assert_eq!(summary["variables_sha256"].as_str().map(str::len), Some(64));
    assert_eq!(summary["interrupted"], false);
    assert!(summary["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));

    let text = fs::read_to_string(folder.path().join("run/metrics.jsonl")).expect("is written");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    let steps: Vec<_> = of("update").iter().map(|line| number(&line["step"])).collect();
    assert_eq!(steps, (1..=12).collect::<Vec<_>>());
    assert!(of("update").iter().all(|line| line["loss"].is_f64()));
    let outcomes =
        |outcome: &str| of("batch").iter().filter(|line| line["outcome"] == outcome).count() as u64;
    assert_eq!(outcomes("accepted"), sum("accepted") + sum("unused"));
    assert_eq!(outcomes("stale"), sum("stale"));
    for line in of("batch") {
        let time = |name: &str| line[name].as_f64().expect("is a time");
        assert!(0.0 <= time("start") && time("start") <= time("computed"), "{line}");
        assert_eq!(line["pushed"].is_null(), line["outcome"] == "superseded", "{line}");
    }
    assert_eq!(of("run").len(), 1);
    assert_eq!(of("result").len(), 1);
}

#[test]
fn without_options_it_trains() {
    let folder = folder();
    let said = run(folder.path(), &["--updates", "10", "--straggler", "none"]);
    assert_eq!(said.status, 0, "{}", said.err);
    for words in ["superseded", "test accuracy", "10 updates took", "report: runs/mlp-"] {
        assert!(said.out.contains(words), "{}", said.out);
    }
    assert!(said.err.contains("update    10/10  loss "), "plain lines: {}", said.err);
    assert!(!said.err.contains('\u{1b}'), "no escapes outside a terminal");
}

#[test]
fn json_is_alone_on_standard_output() {
    let folder = folder();
    let said = run(folder.path(), &["--json", "--updates", "3", "--straggler", "none"]);
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
    assert_eq!(json(&said.out)["updates"], 3);
    assert!(said.err.contains("test accuracy"), "{}", said.err);
}

#[test]
fn epochs_are_counted_in_accepted_examples() {
    let folder = folder();
    let args = ["--epochs", "2", "-b", "100", "-a", "2", "-n", "2", "--straggler", "none"];
    assert_eq!(train(folder.path(), &args)["updates"], 15); // 2 x 1438 examples, 200 an update
}

#[test]
fn every_way_to_train_trains() {
    #[track_caller]
    fn check(options: &str) {
        let folder = folder();
        let quick = ["--updates", "4", "--straggler", "3=1"];
        let args: Vec<&str> = options.split_whitespace().chain(quick).collect();
        assert_eq!(train(folder.path(), &args)["updates"], 4, "{options}");
    }
    check("--model softmax --optimizer sgd --clip-value 0.1");
    check("--model embedding --optimizer lazy-adam --sparse-mean per-gradient --ema 0.9");
    check("--model embedding --width 8 --optimizer ftrl --l1 0.01 --l2 0.1");
    check("--model mlp --hidden 8 --optimizer rmsprop --decay 0.8 --momentum 0.1 --centered");
    check("--optimizer ftrl --l1 0.01 --reference");
    check("--model linear --optimizer adagrad");
    check("--model wide-deep --hidden 4 --width 2");
    check("--optimizer momentum --nesterov --momentum 0.5 --clip-norm 1");
    check("--optimizer adamw --weight-decay 0.1 --beta1 0.8 --beta2 0.99 --epsilon 1e-8");
    check("--optimizer adagrad --initial-accumulator 0.2 --clip-global-norm 1");
    check("--schedule warm-up:steps=2,then=cosine:initial=0.1,steps=4");
    check("-a 6 -n 4 --init-tokens 2 --token-policy keep --lease 5s --step-deadline 1m");
    check("-a 4 -n 4 --deterministic");
}

// P-12, P-13: a token of an old step must not go from one replica to the next for ever.
#[test]
fn kept_leftovers_do_not_stop_the_run() {
    let folder = folder();
    let args = ["--token-policy", "keep", "--model", "softmax", "--updates", "60"];
    assert_eq!(train(folder.path(), &args)["updates"], 60);
}

// P-4: an option of a feature says how to have it, and nothing is begun.
#[cfg(not(feature = "otlp"))]
#[test]
fn a_program_without_a_feature_says_so() {
    for command in [&["train"][..], &["launch", "--workers", "2"]] {
        let folder = folder();
        let args = ["--updates", "3", "--out", "run", "--otlp", "http://127.0.0.1:4317"];
        let said = run(folder.path(), &[command, &args].concat());
        assert_eq!(said.status, 2, "{}", said.err);
        assert!(said.err.contains("build it with `--features otlp`"), "{}", said.err);
        assert_eq!(std::fs::read_dir(&folder).expect("is there").count(), 0);
    }
}
