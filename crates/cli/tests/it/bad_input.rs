//! Invalid options are refused in one line, before anything is written.

use std::fs;

use crate::program::{folder, json, run};

#[track_caller]
fn check(args: &str, fragments: &[&str]) {
    let folder = folder();
    let args: Vec<&str> = args.split_whitespace().collect();
    let said = run(folder.path(), &args);
    assert_eq!(said.status, 2, "{args:?}: {}", said.err);
    assert!(said.err.starts_with("error: "), "{}", said.err);
    for fragment in fragments {
        assert!(said.err.contains(fragment), "{args:?} does not say {fragment:?}: {}", said.err);
    }
    assert_eq!(said.out, "");
    assert_eq!(fs::read_dir(folder.path()).expect("is there").count(), 0, "{args:?} wrote files");
}

#[test]
fn unknown_values_list_the_possible_ones() {
    check("--model cnn", &["'cnn'", "--model", "softmax, mlp, embedding"]);
    check("--optimizer adm", &["'adm'", "sgd", "momentum", "adam", "lazy-adam", "ftrl"]);
    check("--token-policy drop", &["discard, keep"]);
    check("--sparse-mean row", &["per-row, per-gradient"]);
    check("--updates many", &["'many'", "--updates"]);
    check("--no-such-option", &["--no-such-option"]);
    check("test", &["test"]);
    check("--straggler 4", &["REPLICA=MILLISECONDS"]);
    check("--lease soon", &["ms, s or m"]);
    check("--schedule stairs:initial=1", &["\"stairs\"", "exponential", "warm-up"]);
    check("--updates 5 --epochs 5", &["cannot be used with"]);
    check("--learning-rate 1 --schedule 1", &["cannot be used with"]);
    check("--clip-norm 1 --clip-value 1", &["cannot be used with"]);
    check("--reference --deterministic", &["cannot be used with"]);
}

#[test]
fn a_metric_that_is_not_there_is_refused() {
    let all = "test_accuracy, averages_test_accuracy, test_auc, test_log_loss, test_rmse, loss";
    check("--keep-best accuracy", &["--keep-best", all, "got \"accuracy\""]);
    check("--keep-best loss:up", &[":min or :max", "\"up\""]);
    let own = "--keep-best loss --out a --checkpoint-dir ./a/best/";
    check(own, &["--checkpoint-dir", "another folder", "a/best"]);
    check("--stop-when acc>=0.5", &["--stop-when", all, "got \"acc\""]);
    check("--stop-when loss,tests=0", &["tests=N", "at least 1"]);
    check("--stop-when test_accuracy>=97", &["from 0 to 1", "\"97\""]);
    let averages = "expected test_accuracy or test_log_loss or loss, got averages_test_accuracy, \
                    which needs --ema";
    check("--keep-best averages_test_accuracy", &["--keep-best", averages]);
    check("--stop-when averages_test_accuracy", &["--stop-when", averages]);
    // In a cluster the chief has no averages, and a checkpoint no loss.
    check("launch --keep-best test_accuracy", &["--keep-best", "--evaluator with it"]);
    check(
        "launch --evaluator --keep-best loss",
        &["expected test_accuracy or test_log_loss, got loss"],
    );
    let averages = "launch --ema 0.9 --evaluator --stop-when averages_test_accuracy>=0.9";
    check(averages, &["expected test_accuracy or test_log_loss or loss", "the chief"]);
    check(
        "node --role evaluator --out a --keep-best loss",
        &["expected test_accuracy or test_log_loss, got loss"],
    );
    let no_folder = "node --role evaluator --checkpoint-dir c --keep-best test_accuracy";
    check(no_folder, &["--keep-best", "--out DIR with it"]);
}

// R-18, R-24
#[test]
fn counts_that_cannot_be_are_refused() {
    check("--total-num-replicas 0", &["'0'", "--total-num-replicas"]);
    check("--replicas-to-aggregate 0", &["'0'", "--replicas-to-aggregate"]);
    check("--total-num-replicas -1", &["-1"]);
    check("--total-num-replicas 70000", &["at most 65536", "70000"]);
    check("--min-replicas 0", &["'0'", "--min-replicas"]);
    check("-n 5 --min-replicas 6", &["min_replicas", "1 to 5", "got 6"]);
    check("--batch-size 0", &["'0'", "--batch-size"]);
    check("--batch-size 2000", &["--batch-size", "1 to 1437", "2000"]);
    check("--updates 0", &["'0'"]);
    check("--updates 9999999999999999999", &["--updates", "9223372036854775807"]);
    check("--save-every 0", &["'0'"]);
    check("-a 7 -n 5 --init-tokens 1", &["initial tokens", "1 given", "at least 2"]);
    check("--straggler 5=10", &["--straggler", "from 0 to 4", "got 5"]);
    check("--straggler 1=10 --straggler 1=20", &["given twice"]);
    check("--deterministic --token-policy keep", &["replica order", "discarded"]);
}

// A minus is no option.
#[test]
fn negative_numbers_are_told_the_range() {
    let count = "expected a whole number of at least 1";
    let least = "expected a whole number of at least 0";
    check("--updates -5", &["'-5'", "--updates", count]);
    check("-a -1", &["'-1'", count]);
    check("train --batch-size -32", &["'-32'", count]);
    check("--seed -1", &["'-1'", least]);
    check("--init-tokens -1", &["'-1'", least]);
    check("--learning-rate -0.5", &["learning rate", "-0.5"]);
    check("--ema -0.5", &["-0.5"]);
    check("--momentum -1 --optimizer momentum", &["momentum", "-1"]);
    check("--lease -5s", &["'-5s'", "expected a length of time"]);
    check("--straggler -1=20", &["'-1=20'", "REPLICA=MILLISECONDS"]);
    check("launch --workers -1", &["'-1'", "from 1 to 256"]);
    check("launch --metrics-port -1", &["'-1'", "from 1 to 65000"]);
    check("node --index -1", &["'-1'", least]);
    check("plan --compute exponential:mean=1 --machines -3", &["'-3'", "from 1 to 4096"]);
    check("simulate spot-machines --steps -3", &["'-3'", "from 1 to"]);
    check("simulate -3", &["-3", "spot-machines"]);
}

#[test]
fn numbers_that_no_formula_takes_are_refused() {
    check("--learning-rate nan", &["learning rate", "NaN"]);
    check("--learning-rate inf", &["learning rate", "inf"]);
    check("--learning-rate=-0.1", &["learning rate", "-0.1"]);
    check("--beta1 1.5", &["beta1", "1.5"]);
    check("--ema 1.01", &["--ema", "from 0 to 1", "1.01"]);
    check("--ema nan", &["--ema", "NaN"]);
    check("--clip-norm 0", &["--clip-norm", "above 0", "got 0"]);
    check("--clip-value nan", &["--clip-value", "NaN"]);
    check("--schedule exponential:initial=0.1,decay=2,every=10", &["decay", "[0, 1]", "2"]);
    check("--momentum 0.9", &["--momentum is not for --optimizer adam", "momentum, rmsprop"]);
    check("--optimizer sgd --beta1 0.9", &["--beta1", "adam, lazy-adam, adamw"]);
    check("--model softmax --hidden 5", &["--hidden", "--model mlp or --model wide-deep"]);
    check("--width 5", &["--width", "--model embedding, wide-deep or fm"]);
    check("--width 2000000 --model fm", &["--width", "1 to 1048576"]);
    check("--hidden 0", &["'0'"]);
}

#[test]
fn a_run_folder_that_cannot_be_written_is_refused() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").expect("is writable");
    for option in ["--out", "--checkpoint-dir"] {
        let said = run(folder.path(), &[option, "file/run"]);
        assert_eq!(said.status, 2, "{}", said.err);
        let expected = "error: the run folder file/run cannot be written";
        assert!(said.err.starts_with(expected), "{}", said.err);
        assert_eq!(said.out, "", "training did not begin");
    }
}

#[test]
fn an_earlier_run_is_not_written_over() {
    let folder = folder();
    let args = ["--out", "a", "--updates", "2", "--straggler", "none", "--quiet"];
    assert_eq!(run(folder.path(), &args).status, 0);
    let page = fs::read(folder.path().join("a/report.html")).expect("is written");
    let said = run(folder.path(), &args);
    assert_eq!(said.status, 2);
    assert!(
        said.err.contains("checkpoint-000000002") && said.err.contains("--resume"),
        "{}",
        said.err
    );
    assert_eq!(fs::read(folder.path().join("a/report.html")).expect("is there"), page);
}

// R-34, P-25: the error names the step; what was good before is kept.
#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let folder = folder();
    let args = ["--learning-rate", "1e30", "--out", "a", "--json"];
    let said = run(folder.path(), &args);
    assert_eq!(said.status, 1, "{}", said.err);
    let error = said.err.lines().last().expect("says why");
    assert!(error.starts_with("error: "), "{error}");
    for words in
        ["at step 1 is not finite", "last good checkpoint is a/checkpoint/checkpoint-000000000"]
    {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(said.out, "", "there is no result");
    let text = fs::read_to_string(folder.path().join("a/metrics.jsonl")).expect("is written");
    assert!(text.contains(r#""step":1,"loss":"#), "{text}");
    let resumed = ["--out", "b", "--resume", "a", "--updates", "3", "--json"];
    assert_eq!(json(&run(folder.path(), &resumed).out)["updates_this_run"], 3);
}
