//! Going on from a checkpoint, to the bit.

use std::path::Path;

use clap::Parser;
use cli::args::Cli;
use cli::run::summary::Summary;
use cli::settings::Settings;
use cli::system::interrupt::Interrupt;

use crate::program::{folder, run, train};

const MODELS: [&str; 3] = ["softmax", "mlp", "embedding"];

// P-14: whatever the timing, the bits are the same; a straggler does not change them.
#[test]
fn deterministic_runs_have_the_same_bits() {
    let folder = folder();
    let sha = |slow: &str, out: &str| {
        let args = ["--deterministic", "--updates", "40", "--straggler", slow, "--out", out];
        train(folder.path(), &args)["variables_sha256"].clone()
    };
    let first = sha("none", "a");
    assert_eq!(first, sha("0=2", "b"));
    assert_eq!(first, sha("4=3", "c"));
}

#[test]
fn the_program_goes_on_bit_identically() {
    for model in MODELS {
        let folder = folder();
        let common = ["--deterministic", "--straggler", "4=2", "--model", model, "--ema", "0.9"];
        let sha = |args: &[&str]| {
            let summary = train(folder.path(), &[&common, args].concat());
            assert_eq!(summary["updates"], args[1].parse::<u64>().expect("is a number"));
            (summary["variables_sha256"].clone(), summary["averages_test_accuracy"].clone())
        };
        let whole = sha(&["--updates", "40", "--out", "whole"]);
        sha(&["--updates", "20", "--out", "half"]);
        let rest = sha(&["--updates", "40", "--out", "rest", "--resume", "half"]);
        assert_eq!(whole, rest, "{model}");
    }
}

#[test]
fn the_library_goes_on_bit_identically() {
    let folder = folder();
    let train = |updates: &str, out: &Path, resume: Option<&Path>| -> Summary {
        let (out, resume) =
            (out.display().to_string(), resume.map(|path| path.display().to_string()));
        let mut args = vec!["sync-replicas", "--deterministic", "--straggler", "none", "--quiet"];
        args.extend(["--updates", updates, "--out", &out]);
        args.extend(resume.iter().flat_map(|path| ["--resume", path]));
        let args = Cli::try_parse_from(args).expect("parses").into_train();
        let settings = Settings::check(args).expect("fits together");
        cli::commands::train::train(&settings, &Interrupt::new()).expect("trains")
    };
    let at = |name: &str| folder.path().join(name);
    let whole = train("200", &at("whole"), None);
    let half = train("100", &at("half"), None);
    assert_ne!(whole.variables_sha256, half.variables_sha256);
    let rest = train("200", &at("rest"), Some(&at("half")));
    assert_eq!((rest.updates, rest.updates_this_run), (200, 100));
    assert_eq!(whole.variables_sha256, rest.variables_sha256);
    assert!(rest.generation > half.generation, "P-9: another life of the shared state");
}

// P-24: a run folder, its checkpoint folder, or one checkpoint: all of them can be named.
#[test]
fn a_checkpoint_is_found_by_any_name() {
    let folder = folder();
    let quick = ["--straggler", "none", "--save-every", "2", "--updates"];
    let go = |options: &[&str]| train(folder.path(), &[&quick[..], options].concat());
    go(&["4", "--out", "a"]);
    let newest = "a/checkpoint/checkpoint-000000004";
    for (number, path) in ["a", "a/checkpoint", newest].into_iter().enumerate() {
        let summary = go(&["6", "--out", &format!("b{number}"), "--resume", path]);
        assert_eq!((&summary["updates"], &summary["updates_this_run"]), (&6.into(), &2.into()));
        assert_eq!(summary["resumed_from"], newest, "{path}");
    }
    // In place, where nothing else is said; one checkpoint begins a folder of its own.
    assert_eq!(go(&["6", "--resume", "a"])["run_dir"], "a");
    assert_eq!(go(&["8", "--resume", "a/checkpoint"])["updates_this_run"], 2);
    let branch = go(&["7", "--resume", "a/checkpoint/checkpoint-000000006"]);
    assert_ne!(branch["run_dir"], "a");
    assert_eq!(go(&["10", "--resume", "a"])["resumed_from"], "a/checkpoint/checkpoint-000000008");
}

// P-24: the newest is the one that was written last, also where there were higher steps before.
#[test]
fn going_back_in_the_same_folder_is_not_undone_by_rotation() {
    let folder = folder();
    let go = |options: &[&str]| {
        let quick = ["--straggler", "none", "--save-every", "2", "--updates"];
        train(folder.path(), &[&quick[..], options].concat())
    };
    go(&["4", "--out", "a"]);
    std::fs::create_dir(folder.path().join("copy")).expect("is new");
    let of = |name: &str| format!("checkpoint-000000004/{name}");
    std::fs::create_dir(folder.path().join("copy/checkpoint-000000004")).expect("is new");
    for name in ["manifest.json", "tensors.safetensors"] {
        let from = folder.path().join("a/checkpoint").join(of(name));
        std::fs::copy(from, folder.path().join("copy").join(of(name))).expect("a file");
    }
    go(&["20", "--resume", "a"]);
    let back = go(&["8", "--resume", "copy", "--out", "a"]);
    assert_eq!(back["checkpoint"], "a/checkpoint/checkpoint-000000008");
    assert_eq!(go(&["10", "--resume", "a"])["updates_this_run"], 2);
}

// P-24: one command for the first start and for every other.
#[test]
fn auto_begins_or_goes_on() {
    let folder = folder();
    let go = |updates: &str| {
        let args = ["--straggler", "none", "--resume", "auto", "--out", "a", "--updates", updates];
        train(folder.path(), &args)
    };
    assert_eq!(go("3")["updates_this_run"], 3);
    assert_eq!(go("5")["updates_this_run"], 2);
    // It was requeued after its end.
    let done = go("5");
    assert_eq!((&done["updates"], &done["updates_this_run"]), (&5.into(), &0.into()));
    let said = run(folder.path(), &["train", "--resume", "auto"]);
    assert_eq!(said.status, 2);
    assert!(said.err.contains("--out"), "{}", said.err);
}

// P-24: nobody loses the metrics or the checkpoints of a run that is there.
#[test]
fn an_earlier_run_is_gone_on_with_or_refused() {
    let folder = folder();
    let quick = ["--quiet", "--straggler", "none", "--updates"];
    let go = |options: &[&str]| run(folder.path(), &[&quick[..], options].concat());
    let updates = || {
        let text = std::fs::read_to_string(folder.path().join("a/metrics.jsonl")).expect("a file");
        text.lines().filter(|line| line.contains(r#""kind":"update""#)).count()
    };
    assert_eq!(go(&["4", "--out", "a"]).status, 0);
    assert_eq!(go(&["6", "--resume", "a"]).status, 0);
    assert_eq!(updates(), 6);
    let refused = go(&["3", "--out", "a", "--checkpoint-dir", "elsewhere"]);
    assert_eq!(refused.status, 2);
    assert!(refused.err.contains("earlier run"), "{}", refused.err);
    assert!(!folder.path().join("elsewhere").exists(), "nothing was made");
    // Another run's checkpoints are nobody else's.
    assert_eq!(go(&["4", "--out", "b", "--seed", "1"]).status, 0);
    let refused = go(&["9", "--resume", "b", "--out", "a"]);
    assert_eq!(refused.status, 2);
    assert!(refused.err.contains("another run"), "{}", refused.err);
    assert_eq!(updates(), 6);
}

// P-24: a run folder knows where its checkpoints are.
#[test]
fn checkpoints_elsewhere_are_found() {
    let folder = folder();
    let quick = ["--straggler", "none", "--updates"];
    let go = |options: &[&str]| train(folder.path(), &[&quick[..], options].concat());
    go(&["4", "--out", "a", "--checkpoint-dir", "c"]);
    assert_eq!(go(&["6", "--resume", "a"])["updates_this_run"], 2);
    assert_eq!(go(&["8", "--checkpoint-dir", "c", "--resume", "a"])["updates_this_run"], 2);
    assert!(folder.path().join("c/checkpoint-000000008").is_dir());
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let folder = folder();
    let quick = ["--quiet", "--straggler", "none", "--updates", "4"];
    let softmax = [&quick[..], &["--model", "softmax", "--out", "a"]].concat();
    assert_eq!(run(folder.path(), &softmax).status, 0);
    let newest = folder.path().join("a/checkpoint/checkpoint-000000004/tensors.safetensors");
    let bytes = std::fs::read(&newest).expect("is written");

    let said = run(
        folder.path(),
        &[&softmax[..4], &["4", "--model", "softmax", "--resume", "a"]].concat(),
    );
    assert_eq!(said.status, 2);
    assert!(said.err.contains("nothing is left to train"), "{}", said.err);
    let quick = ["--quiet", "--straggler", "none", "--updates", "6"];
    let check = |options: &[&str], status: i32, fragment: &str| {
        let said = run(folder.path(), &[options, &quick[..]].concat());
        assert_eq!(said.status, status, "{}", said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains(fragment), "{}", said.err);
        assert!(!folder.path().join("runs").exists(), "nothing was begun");
    };
    check(&["--model", "mlp", "--resume", "a"], 1, "does not fit this run");
    check(&["--model", "softmax", "--resume", "nowhere"], 2, "no checkpoint in nowhere");
    check(&["launch", "--resume", "nowhere/typo"], 2, "no checkpoint in nowhere/typo");
    assert!(!folder.path().join("nowhere").exists(), "a path without a checkpoint makes nothing");

    let more = ["--model", "softmax", "--resume", "a", "--optimizer", "sgd"];
    check(&more, 1, "does not fit this run");
    // Of one checkpoint that is damaged there is nothing to take instead.
    let one = ["--model", "softmax", "--resume", "a/checkpoint/checkpoint-000000004"];
    std::fs::write(&newest, &bytes[..bytes.len() - 1]).expect("is writable");
    check(&one, 2, "is damaged");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    std::fs::write(&newest, flipped).expect("is writable");
    check(&one, 2, "is damaged");
    // A run has an older one.
    let said = run(folder.path(), &[&quick[..], &one[..3], &["a"]].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.err.contains("checkpoint-000000000 is taken instead"), "{}", said.err);
    assert!(folder.path().join("a/checkpoint/checkpoint-000000004.damaged").is_dir());
}
