//! `compare`: several runs side by side, whatever became of them.

use std::fs;

use serde_json::Value;

use crate::program::{Said, folder, json, run, train};

const SHORT: [&str; 6] = ["--model", "softmax", "--straggler", "none", "--updates", "20"];

/// The row of a table that begins with these words, without them.
#[track_caller]
fn row(said: &Said, name: &str) -> Vec<String> {
    assert_eq!(said.status, 0, "{}", said.err);
    let lines = said.out.lines().map(|line| line.split("  ").filter(|it| !it.trim().is_empty()));
    let mut rows = lines.map(|cells| cells.map(|it| it.trim().to_owned()).collect::<Vec<_>>());
    let found = rows.find(|cells| cells.first().is_some_and(|it| it == name));
    found.unwrap_or_else(|| panic!("no {name} in\n{}", said.out))[1..].to_vec()
}

#[test]
fn runs_are_compared_by_what_differs() {
    let folder = folder();
    train(folder.path(), &[&SHORT[..], &["--out", "runs/a"]].concat());
    train(folder.path(), &[&SHORT[..], &["--out", "runs/b", "-a", "3", "--seed", "7"]].concat());
    let said = run(folder.path(), &["compare", "runs/a", "runs/b", "--out", "both.html"]);
    let names = said.out.lines().next().unwrap_or_default().split_whitespace();
    assert!(names.eq(["a", "b"]), "{}", said.out);
    assert_eq!(row(&said, "replicas_to_aggregate"), ["4", "3"]);
    assert_eq!(row(&said, "seed"), ["0", "7"]);
    assert_eq!(row(&said, "updates made"), ["20", "20"]);
    assert_eq!(row(&said, "base accuracy").len(), 2);
    assert!(!said.out.contains("batch_size"), "it is the same: {}", said.out);
    assert!(said.out.lines().all(|line| line.chars().count() <= 80), "{}", said.out);
    let page = fs::read_to_string(folder.path().join("both.html")).expect("is drawn");
    for words in ["<h2>Training loss", "<h2>Test accuracy", "over the seconds", ">a</span>"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("http"), "it needs nothing else");

    let told = run(folder.path(), &["compare", "runs/b", "runs/a", "--json"]);
    let told = json(&told.out);
    for told in told["runs"].as_array().expect("is a list") {
        let part = |key: &str| told[key].as_f64().expect("is a part");
        let parts = ["accepted_part", "stale_part", "unused_part", "superseded_part"].map(part);
        assert!((parts.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{told}");
    }
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().expect("is an object").keys().cloned().collect()
    };
    let differing = keys(&told["runs"][0]["settings"]);
    assert_eq!(told["differing"], serde_json::json!(differing));
    assert_eq!(differing, ["replicas_to_aggregate", "seed"]);
    let page = include_str!("../../../../docs/results.md");
    for key in keys(&told["runs"][0]).into_iter().chain(keys(&told)) {
        assert!(page.contains(&format!("`{key}`")), "docs/results.md lacks {key}");
    }
}

// Of a run that went on, time and updates are of all its starts.
#[test]
fn runs_that_went_on_or_have_not_ended_are_compared_too() {
    let folder = folder();
    train(folder.path(), &[&SHORT[..], &["--out", "a"]].concat());
    let more = ["--updates", "50", "--resume", "a"];
    let second = train(folder.path(), &[&SHORT[..4], &more].concat());
    train(folder.path(), &[&SHORT[..], &["--out", "b"]].concat());
    let path = folder.path().join("b/metrics.jsonl");
    let text = fs::read_to_string(&path).expect("is written");
    let result = text.lines().last().expect("there are lines").len() + 1;
    fs::write(&path, &text[..text.len() - result]).expect("is writable");
    let said = run(folder.path(), &["compare", "a", "b"]);
    assert_eq!(row(&said, "state"), ["ended", "unfinished"]);
    assert_eq!(row(&said, "updates made"), ["50", "20"]);
    let told = json(&run(folder.path(), &["compare", "a", "b", "--json"]).out);
    let rate = |run: usize| told["runs"][run]["updates_per_second"].as_f64().expect("a rate");
    let seconds = |run: usize| told["runs"][run]["seconds"].as_f64().expect("a time");
    let lines = fs::read_to_string(folder.path().join("a/metrics.jsonl")).expect("is written");
    let mut lines = lines.lines().map(|line| json(line));
    let first = lines.find(|line| line["kind"] == "update" && line["step"] == 20);
    let first = first.and_then(|line| line["seconds"].as_f64()).expect("a time");
    let second = second["seconds"].as_f64().expect("a time");
    assert!((seconds(0) - first - second).abs() < 1e-9, "{first} and {second}: {}", seconds(0));
    assert_eq!((rate(0) * seconds(0)).round(), 50.0);
    assert_eq!((rate(1) * seconds(1)).round(), 20.0);
}

// One that writes down less may have the same settings.
#[test]
fn what_is_not_set_is_as_if_it_were_not_there() {
    let folder = folder();
    let lines = [
        r#"{"kind":"run","version":"1","seed":1,"nesterov":false,"ema":null}"#,
        r#"{"kind":"run","version":"2","seed":2,"deterministic":true}"#,
    ];
    for (name, line) in ["a", "b"].into_iter().zip(lines) {
        fs::create_dir(folder.path().join(name)).expect("is writable");
        let path = folder.path().join(name).join("metrics.jsonl");
        fs::write(path, format!("{line}\n")).expect("is writable");
    }
    let told = json(&run(folder.path(), &["compare", "a", "b", "--json"]).out);
    assert_eq!(told["differing"], serde_json::json!(["deterministic", "seed"]));
    assert_eq!(told["runs"][0]["settings"], serde_json::json!({"seed":1}));
    assert_eq!(told["runs"][0]["updates_per_second"], Value::Null);
}

// More runs than fit beside each other are lines.
#[test]
fn many_runs_are_lines_of_a_table() {
    let folder = folder();
    train(folder.path(), &[&SHORT[..], &["--out", "first"]].concat());
    let names: Vec<String> = (0..12).map(|number| format!("copy-number-{number}")).collect();
    for name in &names {
        fs::create_dir(folder.path().join(name)).expect("is writable");
        let file = |name: &str| folder.path().join(name).join("metrics.jsonl");
        fs::copy(file("first"), file(name)).expect("is writable");
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let said = run(folder.path(), &[&["compare"], &names[..]].concat());
    assert!(row(&said, "copy-number-11").contains(&"softmax".to_owned()), "{}", said.out);
    assert!(said.out.lines().all(|line| line.chars().count() <= 80), "{}", said.out);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = folder();
    train(folder.path(), &[&SHORT[..], &["--out", "a"]].concat());
    fs::create_dir(folder.path().join("none")).expect("is writable");
    #[track_caller]
    fn check(folder: &std::path::Path, args: &[&str], expected: &str) {
        let said = run(folder, &[&["compare"], args].concat());
        assert_eq!(said.status, 2, "{}", said.err);
        assert!(said.err.contains(expected), "{}", said.err);
    }
    let path = folder.path();
    check(path, &["a"], "2 values required");
    check(path, &["a", "none"], "none/metrics.jsonl cannot be read");
    check(path, &["a", "./a/"], "RUN: expected each run once, got a and ./a/");
    check(path, &["a", "a", "--out", "x.txt"], "--out: expected a file whose name ends with .html");
    fs::write(path.join("none/metrics.jsonl"), "{}\n").expect("is writable");
    check(path, &["a", "none"], "line 1: expected a JSON object of kind run");
    train(path, &[&SHORT[..], &["--out", "b"]].concat());
    check(
        path,
        &["a", "b", "--out", "no/x.html"],
        "--out: expected a file in a folder that exists",
    );
    let expected = "--out: expected a file outside of run folders, got a/report.html";
    check(path, &["a", "b", "--out", "a/report.html"], expected);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("a/report.html", path.join("link.html")).expect("is writable");
        check(path, &["a", "b", "--out", "link.html"], "outside of run folders, got link.html");
    }
    check(path, &["a", "a/metrics.jsonl"], "expected each run once, got a and a/metrics.jsonl");
    check(&path.join("a"), &["metrics.jsonl", "../a"], "got metrics.jsonl and ../a, which are");
}

#[test]
fn a_page_is_written_whole_or_not_at_all() {
    let folder = folder();
    let path = |name| folder.path().join(name);
    for name in ["a", "b"] {
        train(folder.path(), &[&SHORT[..], &["--out", name]].concat());
    }
    fs::write(path("x.html"), "before").expect("is writable");
    fs::hard_link(path("x.html"), path("kept.html")).expect("is writable");
    let said = run(folder.path(), &["compare", "a", "b", "--out", "x.html"]);
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(fs::read_to_string(path("x.html")).is_ok_and(|it| it.ends_with("</html>\n")));
    // It took the other's place, and was not written into it.
    assert!(fs::read_to_string(path("kept.html")).is_ok_and(|it| it == "before"));
    // The command was right, and did not succeed.
    fs::create_dir(path("folder.html")).expect("is writable");
    let said = run(folder.path(), &["compare", "a", "b", "--out", "folder.html"]);
    assert_eq!((said.status, said.out.as_str()), (1, ""));
    assert!(said.err.contains("folder.html cannot be written"), "{}", said.err);
}
