//! A file of rows becomes a training and its predictions, in one process and in a cluster.

mod predictions;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{Said, folder, json, program, run, train};

/// A year of flights from New York City; `crates/tabular/data/README.md` says whose work it is.
const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tabular/data/flights.csv.gz");

const OF_FLIGHTS: [&str; 26] = [
    "--target",
    "late",
    "--ignore",
    "day,distance,flight",
    "--categorical",
    "month,weekday,hour",
    "--cross",
    "carrier*flight",
    "--cross",
    "dest*hour",
    "--cross",
    "carrier*dest",
    "--cross",
    "origin*hour*month",
    "--cross",
    "weekday*hour",
    "--cross",
    "month*weekday",
    "--cross",
    "tailnum*dest",
    "--cross",
    "carrier*flight*month",
    "--cross",
    "dest*month",
    "--test-where",
    "day % 10 == 0",
];

fn number(summary: &Value, key: &str) -> f64 {
    summary[key].as_f64().unwrap_or_else(|| panic!("no {key} in {summary}"))
}

/// Shops in towns: what is sold depends on the price, on the town, and on town and day together.
fn shops(rows: u64) -> String {
    let mut text = "town,day,price,none,sold,amount,rating\n".to_owned();
    let mut dice = 1_u64;
    let mut below = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % sides
    };
    for row in 0..rows {
        let (town, day, price) = (below(20), below(7), below(1000) as f64 / 100.0);
        let together = (town * 7 + day) % 3;
        let amount = 3.0 * together as f64 - price + (town % 5) as f64;
        let rating = ["bad", "fair", "good"][(together + u64::from(price > 8.0)) as usize % 3];
        let sold = if amount > 0.0 { "yes" } else { "no" };
        let shown = if row % 10 == 3 { String::new() } else { price.to_string() };
        let _ = writeln!(text, "\"Town, {town}\",{day},{shown},,{sold},{amount},{rating}");
    }
    text
}

fn with_shops() -> tempfile::TempDir {
    let folder = folder();
    fs::write(folder.path().join("shops.csv"), shops(4_000)).expect("is writable");
    folder
}

const OF_SHOPS: [&str; 8] = [
    "train",
    "shops.csv",
    "--categorical",
    "day",
    "--cross",
    "town*day",
    "--ignore",
    "none,sold,amount,rating",
];

/// Enough of them to learn what there is.
const QUICK: [&str; 2] = ["--epochs", "12"];

/// `train` with the shops' columns, as one process.
fn trained(folder: &Path, more: &[&str]) -> Value {
    let said = run(folder, &[&OF_SHOPS, more, &["--json", "--quiet"]].concat());
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    json(&said.out)
}

// What the guide begins with: the figures of its page are those of the release build.
#[test]
fn a_year_of_flights_is_learned_and_predicted() {
    let folder = folder();
    let options = ["-n", "2", "-a", "2", "--epochs", "1", "--out", "run"];
    let summary = train(folder.path(), &[&["--data", FLIGHTS], &OF_FLIGHTS[..], &options].concat());
    assert!(number(&summary, "test_auc") > 0.695, "{summary}");
    assert!(number(&summary, "test_log_loss") < 0.492, "{summary}");
    assert!((number(&summary, "base_log_loss") - 0.530).abs() < 0.001, "{summary}");
    let said = run(folder.path(), &["predict", "run", FLIGHTS, "--out", "predicted.csv"]);
    assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (0, "", ""));
    let predicted = fs::read_to_string(folder.path().join("predicted.csv")).expect("is written");
    let mut lines = predicted.lines();
    assert_eq!(lines.next(), Some("prediction,probability"));
    assert_eq!(lines.count(), 327_346);
}

#[test]
fn each_task_is_learned() {
    #[track_caller]
    fn check(options: &str, measure: &str, base: &str, better: impl Fn(f64, f64) -> bool) {
        let folder = with_shops();
        let options: Vec<_> = options.split_whitespace().chain(QUICK).collect();
        let summary = trained(folder.path(), &options);
        let (own, base) = (number(&summary, measure), number(&summary, base));
        assert!(better(own, base), "{options:?}: {own}, base {base}");
        // What predicts is what was tested.
        let target = options[1];
        let said = run(
            folder.path(),
            &["predict", summary["run_dir"].as_str().expect("is told"), "shops.csv"],
        );
        assert_eq!(said.status, 0, "{}", said.err);
        let (names, rows) = (said.out.lines().next(), said.out.lines().count());
        assert_eq!(rows, 4_001);
        assert!(names.is_some_and(|names| names.starts_with("prediction")), "{names:?}");
        assert!(!target.is_empty());
    }
    let less = |own: f64, base: f64| own < 0.7 * base;
    check("--target sold", "test_log_loss", "base_log_loss", less);
    check("--target sold --model fm", "test_log_loss", "base_log_loss", less);
    check("--target sold --model wide-deep", "test_log_loss", "base_log_loss", less);
    check("--target rating", "test_accuracy", "base_accuracy", |own, base| own > base + 0.3);
    check("--target rating --model embedding", "test_accuracy", "base_accuracy", |own, base| {
        own > base + 0.3
    });
    check("--target amount", "test_rmse", "base_rmse", |own, base| own < 0.6 * base);
    check("--target amount --model wide-deep", "test_rmse", "base_rmse", |own, base| {
        own < 0.6 * base
    });
    check("--target amount --model mlp", "test_rmse", "base_rmse", |own, base| own < base);
    check("--target sold --model softmax", "test_log_loss", "base_log_loss", |own, base| {
        own < base
    });
}

#[test]
fn data_that_cannot_be_learned_from_is_refused() {
    #[track_caller]
    fn check(text: &str, options: &str, fragments: &[&str]) {
        let folder = folder();
        fs::write(folder.path().join("bad.csv"), text).expect("is writable");
        let words: Vec<_> = options.split_whitespace().collect();
        let said = run(folder.path(), &[&["train", "bad.csv"], &words[..]].concat());
        assert_eq!(said.status, 2, "{}", said.err);
        for fragment in fragments {
            assert!(said.err.contains(fragment), "{fragment} is not in: {}", said.err);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("is there").count(), 1, "it began");
    }
    let rows = |n: u64| (0..n).map(|it| format!("{it},a,{}\n", it % 2)).collect::<String>();
    let good = format!("x,word,y\n{}", rows(30));
    check("", "--target y", &["bad.csv", "the names of the columns"]);
    check("x,word,y\n", "--target y", &["at least 10 rows", "got 0"]);
    check(&good, "", &["--target COLUMN with bad.csv"]);
    check(&good, "--target z", &["--target", "\"z\"", "x, word, y"]);
    check(&good, "--target y --cross x*z", &["--cross", "\"z\""]);
    check(&good, "--target y --cross x", &["--cross", "a*b"]);
    check(&good, "--target word", &["--target word", "two different values", "\"a\" alone"]);
    check(&good, "--target x --task binary", &["two different values", "got 30"]);
    check(
        &good,
        "--target y --ignore x,word",
        &["--ignore: expected", "besides the target", "all of them"],
    );
    check(&good, "--target y --test-where x", &["--test-where", "no comparison"]);
    check(&good, "--target y --test-where x>1000", &["which leaves none to test with"]);
    check(&good, "--target y --test-where x>=0", &["which leaves none to train on"]);
    check(&good, "--target y --model mlp --ignore x", &["--model mlp", "a column of numbers"]);
    check(
        &format!("{good}x,a,1\n"),
        "--target y",
        &["line 32", "\"x\"", "a number", "--categorical"],
    );
    check(&format!("{good}1,a\n"), "--target y", &["line 32", "expected 3 fields", "got 2"]);
    let folder = folder();
    let said = run(folder.path(), &["--categorical", "a"]);
    assert!(said.status == 2 && said.err.contains("a FILE to learn from"), "{}", said.err);
    let said = run(folder.path(), &["train", "nowhere.csv", "--target", "y"]);
    assert!(said.status == 2 && said.err.contains("nowhere.csv"), "{}", said.err);
}

// Bits depend on nothing but the settings; a run in two parts is one.
#[test]
fn a_run_in_two_parts_equals_a_run_in_one() {
    let folder = with_shops();
    let common = ["--target", "sold", "--deterministic", "-n", "3", "-a", "2"];
    let of = |more: &[&str]| trained(folder.path(), &[&common[..], more].concat());
    let one = of(&["--updates", "60", "--out", "a"]);
    of(&["--updates", "35", "--out", "b"]);
    let two = of(&["--updates", "60", "--resume", "b"]);
    for key in ["variables_sha256", "test_log_loss", "test_auc"] {
        assert_eq!(one[key], two[key], "{key}");
    }
    // Of another file it does not go on without a word.
    fs::write(folder.path().join("shops.csv"), shops(4_001)).expect("is writable");
    let more = ["--updates", "70", "--resume", "b"];
    let said = run(folder.path(), &[&OF_SHOPS, &common[..], &more].concat());
    assert!(said.err.contains("data"), "{}", said.err);
}

// The tables of other columns are of no use; who forgets the options would have them.
#[test]
fn a_run_goes_on_with_its_own_columns() {
    let folder = with_shops();
    trained(folder.path(), &["--target", "sold", "--out", "run", "--updates", "5"]);
    let model = || fs::read_to_string(folder.path().join("run/model.json")).expect("is written");
    let before = model();
    #[track_caller]
    fn check(folder: &Path, words: &str, got: &str) {
        let words: Vec<_> = words.split_whitespace().collect();
        let said = run(folder, &[&words[..], &["--resume", "run", "--updates", "9"]].concat());
        assert_eq!(said.status, 2, "{}", said.err);
        for words in ["expected the columns", "keys town, day; crosses town*day", got] {
            assert!(said.err.contains(words), "{words} is not in: {}", said.err);
        }
    }
    let path = folder.path();
    check(path, "train shops.csv --target sold --cross town*day", "got target sold");
    check(path, "train shops.csv --target rating --categorical day", "got target rating");
    check(path, "train --model linear", "got target digit");
    assert_eq!(model(), before);
}

// Its epochs are so many updates as the cluster makes of them.
#[test]
fn an_evaluator_tests_up_to_the_end_of_the_epochs() {
    let folder = with_shops();
    let cluster =
        ["launch", "--workers", "2", "--evaluator", "--epochs", "3", "--save-every", "20"];
    let more = ["--target", "sold", "--keep-best", "test_auc", "--out", "a", "--json", "--quiet"];
    let said = run(folder.path(), &[&cluster, &OF_SHOPS[1..], &more].concat());
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    let summary = json(&said.out);
    let tests = fs::read_to_string(folder.path().join("a/evaluations.jsonl")).expect("is written");
    assert_eq!(json(&tests)["step"], summary["updates"]);
    assert_eq!(summary["updates"], 150); // 3 x 3200 examples, 64 an update
}

#[test]
fn a_cluster_gives_the_bits_of_one_process() {
    let folder = with_shops();
    let common = ["--target", "sold", "--deterministic", "--updates", "40", "--out"];
    let one = trained(folder.path(), &[&["-n", "3", "-a", "2"], &common[..], &["a"]].concat());
    let cluster =
        ["--ps", "2", "--workers", "3", "--backup", "1", "--evaluator", "--json", "--quiet"];
    let launch = [&["launch"], &OF_SHOPS[1..], &common, &["b"], &cluster].concat();
    let said = run(folder.path(), &launch);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    let many = json(&said.out);
    for key in ["variables_sha256", "test_log_loss", "test_auc", "base_log_loss"] {
        assert_eq!(one[key], many[key], "{key}");
    }
    let tests = fs::read_to_string(folder.path().join("b/evaluations.jsonl")).expect("is written");
    let last = json(&tests);
    assert_eq!((&last["step"], &last["test_auc"]), (&40.into(), &one["test_auc"]));
    let predicted = ["a", "b"].map(|it| run(folder.path(), &["predict", it, "shops.csv"]).out);
    assert_eq!(predicted[0], predicted[1]);
}

// Who writes a file while it is read hears of it; nothing is learned from half of a line.
#[test]
fn a_file_that_changes_ends_training() {
    let folder = with_shops();
    let more = ["--target", "sold", "--updates", "100000000", "--out", "a"];
    let mut command = program(folder.path(), &[&OF_SHOPS, &more[..]].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let metrics = folder.path().join("a/metrics.jsonl");
    while !fs::read_to_string(&metrics).unwrap_or_default().contains("\"kind\":\"update\"") {
        std::thread::yield_now();
    }
    fs::write(folder.path().join("shops.csv"), shops(3_000)).expect("is writable");
    let said: Said = child.wait_with_output().expect("it ends").into();
    assert_eq!(said.status, 1, "{}", said.err);
    assert!(said.err.contains("shops.csv was changed while it was read"), "{}", said.err);
}

// The three lines of the page, without Python: keys and rows are what it says.
#[test]
fn what_was_learned_can_be_read() {
    let folder = with_shops();
    trained(folder.path(), &["--target", "sold", "--out", "run", "--updates", "50"]);
    let model = fs::read_to_string(folder.path().join("run/model.json")).expect("is written");
    let model: HashMap<String, Value> = serde_json::from_str(&model).expect("is JSON");
    assert_eq!(model["categories"], serde_json::json!(["town", "day"]));
    assert_eq!(model["crosses"], serde_json::json!([["town", "day"]]));
    assert_eq!(model["numbers"][0]["name"], "price");
    assert_eq!(model["numbers"][0]["has_missing"], true);
    assert_eq!(model["target"]["column"], "sold");
}
