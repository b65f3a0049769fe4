//! Going on from a checkpoint, to the bit.

use std::path::Path;

use clap::Parser;
use cli::args::Cli;
use cli::interrupt::Interrupt;
use cli::settings::Settings;
use cli::summary::Summary;

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
        cli::train::train(&settings, &Interrupt::new()).expect("trains")
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

// A run folder, its checkpoint folder, or one checkpoint: all of them can be named.
#[test]
fn a_checkpoint_is_found_by_any_name() {
    let folder = folder();
    let quick = ["--straggler", "none", "--updates"];
    train(folder.path(), &[&quick[..], &["4", "--out", "a", "--save-every", "2"]].concat());
    for path in ["a", "a/checkpoint", "a/checkpoint/checkpoint-000000004"] {
        let summary = train(folder.path(), &[&quick[..], &["6", "--resume", path]].concat());
        assert_eq!((&summary["updates"], &summary["updates_this_run"]), (&6.into(), &2.into()));
    }
    // In place as well.
    let args = [&quick[..], &["8", "--resume", "a", "--out", "a"]].concat();
    assert_eq!(train(folder.path(), &args)["updates_this_run"], 4);
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let folder = folder();
    let quick = ["--quiet", "--straggler", "none", "--updates", "4"];
    let softmax = [&quick[..], &["--model", "softmax", "--out", "a"]].concat();
    assert_eq!(run(folder.path(), &softmax).status, 0);
    let newest = folder.path().join("a/checkpoint/checkpoint-000000004/tensors.safetensors");
    let bytes = std::fs::read(&newest).expect("is written");

    let check = |options: &[&str], status: i32, fragment: &str| {
        let said = run(folder.path(), &[&quick[..], options].concat());
        assert_eq!(said.status, status, "{}", said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains(fragment), "{}", said.err);
        assert!(!folder.path().join("runs").exists(), "nothing was begun");
    };
    check(&["--model", "mlp", "--resume", "a"], 1, "does not fit this run");
    check(&["--model", "softmax", "--resume", "nowhere"], 1, "no checkpoint in nowhere");
    check(&["--model", "softmax", "--resume", "a"], 2, "nothing is left to train");

    let more = ["--model", "softmax", "--resume", "a", "--optimizer", "sgd"];
    check(&more, 1, "does not fit this run");
    std::fs::write(&newest, &bytes[..bytes.len() - 1]).expect("is writable");
    check(&["--model", "softmax", "--resume", "a"], 1, "is damaged");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    std::fs::write(&newest, flipped).expect("is writable");
    check(&["--model", "softmax", "--resume", "a"], 1, "is damaged");
}
