//! Which checkpoint a run goes on from, and whose folder it may write into (P-24).

use std::fs;
use std::path::Path;

use ndarray::array;
use optim::Sgd;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sync_replicas::checkpoint::{self, CheckpointError, RunId, TrainingState};
use sync_replicas::driver::Generation;
use sync_replicas::{GlobalStep, SyncReplicas, Variables};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A state whose one number says which it is.
fn state(run: RunId, generation: u64, step: i64) -> TrainingState<f64> {
    let number = generation as f64 + step as f64 / 1000.0;
    let variables = Variables::new().with("w", array![number]).expect("one name");
    let trainer = SyncReplicas::new(Sgd::new(0.1)).build(variables).expect("it is valid");
    TrainingState {
        run: Some(run),
        generation: Generation::new(generation),
        global_step: GlobalStep::new(step),
        ..trainer.training_state().expect("it is whole")
    }
}

fn write(folder: &Path, state: &TrainingState<f64>) {
    checkpoint::write(folder, state, 9).expect("it is written");
}

/// The generation and the step of what is read.
fn newest(folder: &Path) -> (u64, i64) {
    let state = checkpoint::read::<f64>(folder).expect("one is good");
    (state.generation.get(), state.global_step.get())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is there");
    let names = entries.map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.contains("checkpoint")).collect();
    names.sort();
    names
}

#[test]
fn newest_is_the_generation_before_the_step() {
    #[track_caller]
    fn check(written: &[(u64, i64)], expected: (u64, i64)) {
        let (folder, run) = (folder(), RunId::draw());
        for &(generation, step) in written {
            write(folder.path(), &state(run, generation, step));
        }
        assert_eq!(newest(folder.path()), expected, "{written:?}");
        let latest = checkpoint::latest(folder.path()).expect("it lists").expect("one");
        assert!(latest.ends_with(format!("checkpoint-{:09}", expected.1)), "{latest:?}");
    }
    check(&[(1, 100), (1, 200)], (1, 200));
    // It went back to update 100 and on from there.
    check(&[(1, 100), (1, 200), (2, 150)], (2, 150));
    // The same step again: the earlier generation's is replaced whole.
    check(&[(1, 100), (2, 100)], (2, 100));
}

#[test]
fn rotation_keeps_what_was_just_written() {
    let (folder, run) = (folder(), RunId::draw());
    for step in [800, 900, 1000] {
        write(folder.path(), &state(run, 1, step));
    }
    for step in [300, 400] {
        checkpoint::write(folder.path(), &state(run, 2, step), 2).expect("it is written");
    }
    assert_eq!(names(folder.path()), ["checkpoint-000000300", "checkpoint-000000400"]);
    assert_eq!(newest(folder.path()), (2, 400));
}

#[test]
fn a_folder_of_another_run_is_refused() {
    let (folder, run) = (folder(), RunId::draw());
    assert_eq!(checkpoint::newest_run(folder.path()).expect("it can be read"), None);
    write(folder.path(), &state(run, 1, 100));
    assert_eq!(checkpoint::newest_run(folder.path()).expect("it can be read"), Some(run));
    let refused = checkpoint::write(folder.path(), &state(RunId::draw(), 1, 5), 2);
    assert!(matches!(refused, Err(CheckpointError::OtherRun { .. })), "{refused:?}");
    assert_eq!(names(folder.path()), ["checkpoint-000000100"]);
}

#[test]
fn who_was_replaced_writes_nothing() {
    let (folder, run) = (folder(), RunId::draw());
    write(folder.path(), &state(run, 1, 100));
    // Another machine goes on from it; it has not saved yet.
    let after =
        checkpoint::claim(folder.path(), Generation::new(1), None).expect("it can be written");
    assert_eq!(after.get(), 1);
    let refused = checkpoint::write(folder.path(), &state(run, 1, 200), 2);
    assert!(matches!(refused, Err(CheckpointError::Replaced { .. })), "{refused:?}");
    assert_eq!(names(folder.path()), ["checkpoint-000000100"]);
    write(folder.path(), &state(run, 2, 150));
    assert_eq!(newest(folder.path()), (2, 150));
}

/// A way to spoil a checkpoint.
type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 7] = [
    ("the tensors are cut", |it| cut(&it.join("tensors.safetensors"))),
    ("the manifest is cut", |it| cut(&it.join("manifest.json"))),
    ("the tensors are gone", |it| fs::remove_file(it.join("tensors.safetensors")).expect("a file")),
    ("the manifest is gone", |it| fs::remove_file(it.join("manifest.json")).expect("a file")),
    ("one bit", |it| {
        let path = it.join("tensors.safetensors");
        let mut bytes = fs::read(&path).expect("a file");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(path, bytes).expect("a file");
    }),
    ("all is empty", |it| {
        fs::write(it.join("manifest.json"), "").expect("a file");
        fs::write(it.join("tensors.safetensors"), "").expect("a file");
    }),
    ("a variable without numbers", |it| {
        reseal(it, |manifest| manifest["numbers"]["variables"] = json!(["w", "v"]));
    }),
];

fn cut(path: &Path) {
    let bytes = fs::read(path).expect("a file");
    fs::write(path, &bytes[..bytes.len() / 2]).expect("a file");
}

/// Changes a manifest, and gives it the checksum that fits.
fn reseal(checkpoint: &Path, change: impl Fn(&mut Value)) {
    let path = checkpoint.join("manifest.json");
    let sealed: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    let mut manifest = sealed["manifest"].clone();
    change(&mut manifest);
    let text = manifest.to_string();
    let sum: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(path, format!(r#"{{"sha256":"{sum}","manifest":{text}}}"#)).expect("a file");
}

#[test]
fn what_is_damaged_is_passed_over() {
    for (what, damage) in DAMAGES {
        let (folder, run) = (folder(), RunId::draw());
        write(folder.path(), &state(run, 1, 100));
        write(folder.path(), &state(run, 1, 200));
        damage(&folder.path().join("checkpoint-000000200"));
        // A reader changes nothing.
        assert_eq!(newest(folder.path()), (1, 100), "{what}");
        assert_eq!(names(folder.path()).len(), 2, "{what}");
        let found = checkpoint::recover::<f64>(folder.path()).expect("one is good");
        let (path, state) = found.expect("one is there");
        assert!(path.ends_with("checkpoint-000000100"), "{what}: {path:?}");
        assert_eq!(state.global_step.get(), 100, "{what}");
        let left = ["checkpoint-000000100", "checkpoint-000000200.damaged"];
        assert_eq!(names(folder.path()), left, "{what}");
    }
}

#[test]
fn none_good_names_them_and_leaves_them() {
    let (folder, run) = (folder(), RunId::draw());
    for step in [100, 200] {
        write(folder.path(), &state(run, 1, step));
    }
    for (step, (_, damage)) in [100, 200].into_iter().zip(DAMAGES) {
        damage(&folder.path().join(format!("checkpoint-{step:09}")));
    }
    let error = checkpoint::recover::<f64>(folder.path()).expect_err("none is good").to_string();
    assert!(error.contains("checkpoint-000000100") && error.contains("checkpoint-000000200"));
    assert_eq!(names(folder.path()), ["checkpoint-000000100", "checkpoint-000000200"]);
}

// A newer version's checkpoint may be good: it is not passed over, and not touched.
#[test]
fn a_newer_format_is_an_error() {
    let (folder, run) = (folder(), RunId::draw());
    write(folder.path(), &state(run, 1, 100));
    write(folder.path(), &state(run, 1, 200));
    reseal(&folder.path().join("checkpoint-000000200"), |manifest| manifest["format"] = json!(4));
    let error = checkpoint::recover::<f64>(folder.path()).expect_err("it is unknown");
    assert!(matches!(error, CheckpointError::Format { got: 4, .. }), "{error}");
    assert_eq!(names(folder.path()), ["checkpoint-000000100", "checkpoint-000000200"]);
}

#[test]
fn the_first_format_is_still_read() {
    let (folder, run) = (folder(), RunId::draw());
    write(folder.path(), &state(run, 1, 100));
    reseal(&folder.path().join("checkpoint-000000100"), |manifest| {
        let file = manifest["files"][0].clone();
        *manifest = json!({
            "format": 1, "dtype": manifest["dtype"], "numbers": manifest["numbers"],
            "tensors_sha256": file["sha256"], "tensors_bytes": file["bytes"],
        });
    });
    let read = checkpoint::read::<f64>(folder.path()).expect("it is good");
    assert_eq!((read.run, read.global_step.get()), (None, 100));
    // The run that goes on from it takes the folder over.
    write(folder.path(), &state(RunId::draw(), 2, 200));
    assert_eq!(newest(folder.path()), (2, 200));
}

#[test]
fn what_a_dead_writer_left_goes_with_the_next_save() {
    let (folder, run) = (folder(), RunId::draw());
    fs::create_dir(folder.path().join(".checkpoint-000000100.new")).expect("it is new");
    write(folder.path(), &state(run, 1, 200));
    assert_eq!(names(folder.path()), ["checkpoint-000000200"]);
}

// The identity comes with the checkpoint, whichever trainer goes on from it.
#[test]
fn a_restored_trainer_is_of_the_same_run() {
    let folder = folder();
    let build = || {
        let variables = Variables::new().with("w", array![1.0]).expect("one name");
        SyncReplicas::new(Sgd::new(0.1)).build::<f64>(variables).expect("it is valid")
    };
    let first = build();
    first.save(folder.path(), 2).expect("it is written");
    let second = build();
    let refused = second.save(folder.path(), 2);
    assert!(matches!(refused, Err(CheckpointError::OtherRun { .. })), "{refused:?}");
    second.restore(folder.path()).expect("it fits");
    second.save(folder.path(), 2).expect("it is its own now");
    // The first one has been replaced.
    let refused = first.save(folder.path(), 2);
    assert!(matches!(refused, Err(CheckpointError::Replaced { .. })), "{refused:?}");
}
