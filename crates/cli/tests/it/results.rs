//! The page on what a run writes has every key of it.

use std::fs;

use clap::{Arg, CommandFactory};
use cli::args::Cli;
use serde_json::Value;

use crate::program::{folder, json, run, train};

const PAGE: &str = include_str!("../../../../docs/results.md");

/// Every key of `value`, and of what is in it, is on the page.
#[track_caller]
fn check(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                assert!(PAGE.contains(&format!("`{key}`")), "docs/results.md lacks {key}");
                check(value);
            }
        }
        Value::Array(values) => values.iter().for_each(check),
        _ => {}
    }
}

// A run that was killed has a report, of all that it had written.
#[test]
fn a_run_without_a_result_is_drawn() {
    let folder = folder();
    let options = ["--updates", "40", "--straggler", "none", "--out", "run"];
    train(folder.path(), &options);
    let path = folder.path().join("run/metrics.jsonl");
    let whole = fs::read_to_string(&path).expect("is written");
    let drawn = |text: &str, words: &str| {
        fs::write(&path, text).expect("is writable");
        fs::remove_file(folder.path().join("run/report.html")).expect("it was drawn before");
        let said = run(folder.path(), &["report", "run"]);
        assert_eq!(said.status, 0, "{}", said.err);
        assert!(said.out.contains(words) && said.out.contains("report: run/report.html"));
        fs::read_to_string(folder.path().join("run/report.html")).expect("is written")
    };
    let ended = drawn(&whole, "40 updates took");
    let result = whole.lines().last().expect("a result").len() + 1;
    let killed = drawn(
        &format!("{}{{\"kind\":\"upd", &whole[..whole.len() - result]),
        "It has told no result: it still trains, failed, or was killed.",
    );
    for page in [&ended, &killed] {
        assert!(page.contains(": computed and accepted, ") && page.contains("<h2>Training loss"));
    }
    let said = run(folder.path(), &["report", "nowhere"]);
    assert_eq!(said.status, 2);
    assert!(said.err.contains("nowhere cannot be read"), "{}", said.err);
}

// What somebody has written into a file takes no result away.
#[test]
fn a_training_whose_metrics_were_changed_has_a_result() {
    let folder = folder();
    let options = ["--model", "softmax", "--straggler", "none"];
    train(folder.path(), &[&options[..], &["--updates", "20", "--out", "run"]].concat());
    let path = folder.path().join("run/metrics.jsonl");
    let changed = fs::read_to_string(&path).expect("is written") + "garbage\n";
    fs::write(&path, changed).expect("is writable");
    let more = ["--updates", "40", "--resume", "run", "--json", "--quiet"];
    let said = run(folder.path(), &[&options[..], &more].concat());
    assert_eq!((said.status, json(&said.out)["updates"].as_u64()), (0, Some(40)), "{}", said.err);
    assert!(said.err.contains("the report is not drawn"), "{}", said.err);
}

// A job that is requeued after its end has the result that it had.
#[test]
fn a_run_that_has_ended_and_is_started_again_keeps_its_result() {
    let folder = folder();
    let options = ["--model", "softmax", "--straggler", "none", "--updates", "20", "--out", "run"];
    let first = train(folder.path(), &options);
    let page = || fs::read_to_string(folder.path().join("run/report.html")).expect("is written");
    let before = page();
    for _ in 0..2 {
        let again = train(folder.path(), &[&options[..], &["--resume", "auto"]].concat());
        assert_eq!((&again["updates"], &again["updates_this_run"]), (&20.into(), &0.into()));
        assert_eq!(again["variables_sha256"], first["variables_sha256"]);
        assert_eq!(page(), before);
    }
    assert_eq!(run(folder.path(), &["report", "run"]).status, 0);
    assert!(page().contains(&format!("<b>{}</b><span>accepted", first["accepted"])));
}

#[test]
fn every_key_is_in_the_page() {
    let folder = folder();
    let options = ["--model", "softmax", "--updates", "30", "--ema", "0.9", "--straggler", "4=2"];
    check(&train(folder.path(), &[&options[..], &["--out", "run"]].concat()));
    let resumed = ["--updates", "40", "--resume", "run"];
    check(&train(folder.path(), &[&options[..2], &options[4..], &resumed].concat()));
    let lines = fs::read_to_string(folder.path().join("run/metrics.jsonl")).expect("is written");
    for line in lines.lines() {
        let mut line: Value = serde_json::from_str(line).expect("is JSON");
        let line = line.as_object_mut().expect("is an object");
        let kind = line.remove("kind").expect("each line has a kind");
        let kind = kind.as_str().expect("is text").to_owned();
        assert!(PAGE.contains(&format!("`{kind}` ")), "docs/results.md lacks lines of {kind}");
        check(&Value::Object(line.clone()));
    }
}

#[test]
fn every_setting_is_in_the_page() {
    #[track_caller]
    fn check(command: &str) {
        let program = Cli::command();
        let command = program.find_subcommand(command).expect("is there");
        let options = command.get_arguments().filter(|option| !option.is_hide_set());
        for option in options.filter_map(Arg::get_long) {
            let key = option.replace('-', "_");
            assert!(PAGE.contains(&format!("`{key}`")), "docs/results.md lacks {key}");
        }
    }
    check("train");
    check("launch");
    check("node");
}
