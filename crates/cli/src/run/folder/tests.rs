//! What the folder of a run is, by what was there before.

use clap::Parser;
use cluster::exit::Exit;

use super::*;
use crate::args::Cli;
use crate::settings::Settings;

fn settings(words: &[&str]) -> Settings {
    let args = Cli::try_parse_from(["x", "train"].iter().chain(words)).expect("parses");
    Settings::check(args.into_train()).expect("is valid")
}

#[test]
fn a_folder_under_a_file_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("is writable");
    let out = file.join("run").display().to_string();
    let error = RunFolder::open(&settings(&["--out", &out])).expect_err("it is a file");
    assert!(error.to_string().contains("cannot be written"), "{error}");
    assert_eq!(error.exit(), Exit::Usage);
}

// P-24: a start that fails leaves nothing behind.
#[test]
fn what_was_made_for_nothing_goes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("new/run").display().to_string();
    let mut folder = RunFolder::open(&settings(&["--out", &out])).expect("it can be made");
    assert!(folder.root().is_dir());
    folder.abandon();
    assert!(!dir.path().join("new").exists());
}

// P-24: a run that was begun beside it meanwhile is not removed with it.
#[test]
fn what_lies_beside_it_stays() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = |name: &str| dir.path().join("new").join(name).display().to_string();
    let mut folder = RunFolder::open(&settings(&["--out", &out("run")])).expect("it can be made");
    let other = RunFolder::open(&settings(&["--out", &out("other")])).expect("it can be made");
    folder.abandon();
    assert!(!folder.root().exists() && other.root().is_dir());
}

// P-24: a run folder knows where its checkpoints are, wherever that is.
#[test]
fn a_run_folder_knows_its_checkpoints() {
    #[track_caller]
    fn check(elsewhere: bool) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let text = |name: &str| dir.path().join(name).display().to_string();
        let (run, checkpoints) = (text("run"), text("checkpoints"));
        let mut words = vec!["--out", &run];
        if elsewhere {
            words.extend(["--checkpoint-dir", &checkpoints]);
        }
        let first = RunFolder::open(&settings(&words)).expect("it can be made");
        let settings_then = settings(&words);
        let config = Config::of(&settings_then).expect("is valid");
        first.record(&settings_then, &config).expect("it can be written");
        let joined = RunFolder::join(&settings(&["--out", &run])).expect("it is there");
        assert_eq!(joined.run(), first.run());
        assert!(same(joined.checkpoints(), first.checkpoints()), "{elsewhere}");
    }
    check(false);
    check(true);
}
