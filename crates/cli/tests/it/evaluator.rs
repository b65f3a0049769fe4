//! The evaluator of a cluster: it tests the checkpoints that others write.

use crate::program::{folder, json, run, train};

/// As an evaluator of two workers and a server, none of which it speaks to.
const EVALUATOR: [&str; 9] = [
    "node",
    "--role",
    "evaluator",
    "--ps",
    "127.0.0.1:1",
    "--worker-hosts",
    "127.0.0.1:2,127.0.0.1:3",
    "--updates",
    "40",
];

#[test]
fn it_tests_checkpoints_up_to_the_last_update() {
    let folder = folder();
    let launch = ["launch", "--ps", "2", "--workers", "2", "--updates", "40", "--ema", "0.9"];
    let said = run(folder.path(), &[&launch[..], &["--out", "a", "--json", "--quiet"]].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    let trained = json(&said.out);
    let said = run(folder.path(), &[&EVALUATOR[..], &["--out", "a", "--ema", "0.9"]].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.err.contains("update 40  test accuracy"), "{}", said.err);
    let lines = std::fs::read_to_string(folder.path().join("a/evaluations.jsonl"));
    let lines = lines.expect("was written");
    let last = json(lines.lines().last().expect("has a line"));
    assert_eq!(last["step"], 40);
    for figure in ["test_accuracy", "averages_test_accuracy"] {
        assert!(last[figure].as_f64().is_some_and(|it| it > 0.5), "{last}");
        assert_eq!(last[figure], trained[figure], "{figure}");
    }
}

#[test]
fn it_says_what_it_misses() {
    #[track_caller]
    fn check(args: &[&str], status: i32, words: &str) {
        let folder = folder();
        let said = run(folder.path(), &[&EVALUATOR[..], args].concat());
        assert_eq!((said.status, said.err.contains(words)), (status, true), "{}", said.err);
    }
    check(&[], 2, "give --out or --checkpoint-dir");
    check(&["--out", "a", "--patience", "1s"], 138, "no new checkpoint came to a/checkpoint");
}

// It needs neither addresses nor a number of updates, and ends with the training.
#[test]
fn a_launcher_starts_one_that_ends_with_the_training() {
    let folder = folder();
    let launch = ["launch", "--workers", "2", "--updates", "60", "--save-every", "20", "--keep"];
    let more = ["9", "--evaluator", "--out", "a", "--quiet"];
    let said = run(folder.path(), &[&launch[..], &more].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    let text = std::fs::read_to_string(folder.path().join("a/evaluations.jsonl"));
    let text = text.expect("was written");
    let steps: Vec<_> = text.lines().map(|line| json(line)["step"].clone()).collect();
    assert_eq!(steps.last(), Some(&60.into()), "{text}");
    // Once more by hand, after the end: all that are kept.
    std::fs::remove_file(folder.path().join("a/evaluations.jsonl")).expect("it is there");
    let said = run(folder.path(), &["node", "--role", "evaluator", "--out", "a"]);
    assert_eq!(said.status, 0, "{}", said.err);
    let entries = std::fs::read_dir(folder.path().join("a/checkpoint")).expect("it is there");
    let kept = entries.filter(|it| it.as_ref().is_ok_and(|it| it.path().is_dir())).count();
    // A save that comes while another runs is made after it, or with the next.
    assert!((2..=4).contains(&kept), "{kept}");
    assert_eq!(said.err.lines().count(), kept, "{}", said.err);
}

// Nothing but a folder of checkpoints: its lines are beside them.
#[test]
fn it_tests_a_folder_of_checkpoints() {
    let folder = folder();
    let options = ["--updates", "20", "--straggler", "none", "--checkpoint-dir", "c", "--out"];
    train(folder.path(), &[&options[..], &["a"]].concat());
    let args = ["node", "--role", "evaluator", "--checkpoint-dir", "c", "--updates", "20"];
    let said = run(folder.path(), &args);
    assert_eq!(said.status, 0, "{}", said.err);
    let lines = std::fs::read_to_string(folder.path().join("c/evaluations.jsonl"));
    assert_eq!(json(&lines.expect("was written"))["step"], 20);
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn it_makes_no_folder() {
    let folder = folder();
    let args = ["node", "--role", "evaluator", "--out", "typo", "--patience", "1s"];
    let said = run(folder.path(), &args);
    assert_eq!(said.status, 138, "{}", said.err);
    assert!(!folder.path().join("typo").exists());
}
