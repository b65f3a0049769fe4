//! What a run predicts of another file, where that goes, and what cannot be predicted.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::{number, shops, trained, with_shops};
use crate::program::{Said, folder, json, program, run};

/// The predictions for a file, by its lines.
fn predicted(folder: &Path, run_folder: &str, text: &str) -> Said {
    fs::write(folder.join("new.csv"), text).expect("is writable");
    run(folder, &["predict", run_folder, "new.csv"])
}

// Without the target, in another order, with columns that nobody knows, values that nobody knows.
#[test]
fn rows_are_predicted_in_order() {
    let folder = with_shops();
    trained(folder.path(), &["--target", "sold", "--out", "run"]);
    let text = "price,day,extra,town\n1,2,x,\"Town, 7\"\n9.5,3,,\"Town, 1\"\n,1,,Nowhere\n";
    let said = predicted(folder.path(), "run", text);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines.len(), 4, "{}", said.out);
    let by_line: Vec<f64> = lines[1..]
        .iter()
        .map(|line| line.split_once(',').expect("has two fields").1.parse().expect("is a number"))
        .collect();
    assert!(by_line.iter().all(|it| (0.0..=1.0).contains(it)), "{by_line:?}");
    // Each line alone says the same.
    for (line, expected) in text.lines().skip(1).zip(&lines[1..]) {
        let alone = predicted(folder.path(), "run", &format!("price,day,extra,town\n{line}\n"));
        assert_eq!(alone.out.lines().nth(1), Some(*expected));
    }
    let empty = predicted(folder.path(), "run", "price,day,town\n");
    assert_eq!((empty.status, empty.out.as_str()), (0, "prediction,probability\n"));
    let checkpoint = fs::read_dir(folder.path().join("run/checkpoint")).expect("is there");
    let checkpoint = checkpoint.filter_map(Result::ok).map(|entry| entry.path());
    let checkpoint = checkpoint.filter(|path| path.is_dir()).max().expect("one is there");
    let of_checkpoint =
        run(folder.path(), &["predict", &checkpoint.display().to_string(), "new.csv"]);
    assert_eq!((of_checkpoint.status, of_checkpoint.out), (0, empty.out));
}

#[test]
fn what_cannot_be_predicted_is_said() {
    let folder = with_shops();
    trained(folder.path(), &["--target", "sold", "--out", "run", "--updates", "5"]);
    #[track_caller]
    fn check(said: &Said, status: i32, lines: usize, fragments: &[&str]) {
        assert_eq!(said.status, status, "{}", said.err);
        assert_eq!(said.out.lines().count(), lines, "{}", said.out);
        for fragment in fragments {
            assert!(said.err.contains(fragment), "{fragment} is not in: {}", said.err);
        }
    }
    let at = |text: &str| predicted(folder.path(), "run", text);
    check(&at("price,town\n1,x\n"), 2, 0, &["learned from", "\"day\"", "price, town"]);
    let line = &["new.csv, line 4", "column \"price\"", "expected a number", "\"cheap\""];
    check(&at("price,day,town\n1,1,a\n2,1,a\ncheap,1,a\n"), 2, 3, line);
    check(&at("price,day,town\n1,1\n"), 2, 1, &["line 2", "expected 3 fields", "got 2"]);
    check(&at(""), 2, 0, &["new.csv", "the names of the columns"]);
    let nowhere = run(folder.path(), &["predict", "nowhere", "shops.csv"]);
    check(&nowhere, 2, 0, &["a run folder", "model.json", "got nowhere"]);
    let no_file = run(folder.path(), &["predict", "run", "nowhere.csv"]);
    check(&no_file, 2, 0, &["cannot open", "nowhere.csv"]);
}

// What was there stays until all is predicted: it may be what is read.
#[test]
fn a_file_of_predictions_is_whole_or_the_one_before() {
    let folder = with_shops();
    trained(folder.path(), &["--target", "sold", "--out", "run", "--updates", "5"]);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("bad.csv"), "price,day,town\n1,2,x\nlow,2,x\n").expect("is writable");
    fs::write(at("out.csv"), "before").expect("is writable");
    let said = run(folder.path(), &["predict", "run", "bad.csv", "--out", "out.csv"]);
    assert_eq!(said.status, 2, "{}", said.err);
    assert_eq!(fs::read_to_string(at("out.csv")).expect("is there"), "before");
    let said = run(folder.path(), &["predict", "run", "shops.csv", "--out", "shops.csv"]);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    let written = fs::read_to_string(at("shops.csv")).expect("is there");
    assert!(written.starts_with("prediction,probability\n"), "{written}");
    assert_eq!(written.lines().count(), 4_001);
    let said = run(folder.path(), &["predict", "run", "bad.csv", "--out", "nowhere/out.csv"]);
    assert!(said.status == 1 && said.err.contains("cannot be written"), "{}", said.err);
    let left = fs::read_dir(folder.path()).expect("is there").count();
    assert_eq!(left, 4, "nothing else is left");
}

// What is no file is written to as it is, and what a link leads to is meant.
#[cfg(unix)]
#[test]
fn predictions_go_where_they_are_sent() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = with_shops();
    trained(folder.path(), &["--target", "sold", "--out", "run", "--updates", "5"]);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("real.csv"), "before").expect("is writable");
    fs::set_permissions(at("real.csv"), fs::Permissions::from_mode(0o600)).expect("is ours");
    std::os::unix::fs::symlink("real.csv", at("link.csv")).expect("is writable");
    let said = run(folder.path(), &["predict", "run", "shops.csv", "--out", "link.csv"]);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    assert!(fs::symlink_metadata(at("link.csv")).expect("is there").is_symlink());
    let real = fs::metadata(at("real.csv")).expect("is there");
    assert_eq!(real.permissions().mode() & 0o777, 0o600);
    assert!(real.len() > 10_000);
    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
    assert!(made.expect("mkfifo is there").success());
    let mut to_pipe = program(folder.path(), &["predict", "run", "shops.csv", "--out", "pipe"]);
    let child = to_pipe.spawn().expect("starts");
    let read = fs::read_to_string(at("pipe")).expect("is text");
    assert!(child.wait_with_output().expect("it ends").status.success());
    assert_eq!(read.lines().count(), 4_001);
    assert_eq!(fs::read_to_string(at("real.csv")).expect("is there"), read);
    // Several processes cannot read one pipe.
    let target = ["launch", "pipe", "--target", "sold"];
    let said = run(folder.path(), &target);
    assert!(said.status == 2 && said.err.contains("each process of the cluster"), "{}", said.err);
}

// Times, for instance, are large and differ by little.
#[test]
fn numbers_far_from_zero_are_predicted() {
    let folder = folder();
    let rows = (0..2_000).map(|n| format!("{},{}\n", n % 100, 1_700_000_000 + n % 100));
    let text = format!("x,y\n{}", rows.collect::<String>());
    fs::write(folder.path().join("times.csv"), text).expect("is writable");
    let options = ["train", "times.csv", "--target", "y", "--out", "run", "--json", "--quiet"];
    let said = run(folder.path(), &options);
    assert_eq!(said.status, 0, "{}", said.err);
    let summary = json(&said.out);
    assert!(number(&summary, "test_rmse") < 0.1 * number(&summary, "base_rmse"), "{summary}");
    let said = run(folder.path(), &["predict", "run", "times.csv"]);
    let first: f64 = said.out.lines().nth(1).expect("a row").parse().expect("is a number");
    assert!((first - 1_700_000_000.0).abs() < 3.0, "{first}");
}

// `| head` has seen enough.
#[cfg(unix)]
#[test]
fn who_reads_no_further_is_no_error() {
    let folder = with_shops();
    trained(folder.path(), &["--target", "sold", "--out", "run", "--updates", "5"]);
    fs::write(folder.path().join("many.csv"), shops(100_000)).expect("is writable");
    let mut command = program(folder.path(), &["predict", "run", "many.csv"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    let said: Said = child.wait_with_output().expect("it ends").into();
    assert_eq!((said.status, said.err.as_str()), (0, ""));
}
