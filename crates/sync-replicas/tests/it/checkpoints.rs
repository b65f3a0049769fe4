//! Checkpoints: whole or not at all, in writing, in reading, and in taking over (R-15, R-16, P-9).

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::array;
use optim::{Adam, Momentum, Sgd};
use sync_replicas::checkpoint::{self, CheckpointError};
use sync_replicas::engine::Refused;
use sync_replicas::error::{PushError, WaitError};
use sync_replicas::{Gradients, IndexedSlices, ReplicaId, SyncReplicas, Trainer, Variables};
use tempfile::TempDir;
use testing::ManualReplicas;

fn variables() -> Variables<f64> {
    Variables::new()
        .with("w", array![1.0, 2.0])
        .and_then(|variables| variables.with("table", array![[3.0], [4.0], [5.0]]))
        .expect("two names")
}

/// Adam and moving averages: slots, powers, shadows.
fn rich() -> Trainer<f64> {
    let builder = SyncReplicas::new(Adam::new(0.1)).replicas_to_aggregate(2).moving_average(0.9);
    builder.build(variables()).expect("it is valid")
}

/// As few bytes as there can be.
fn small() -> Trainer<f64> {
    let variables = Variables::new().with("w", array![1.0]).expect("one name");
    SyncReplicas::new(Sgd::new(0.1)).build(variables).expect("it is valid")
}

/// Makes `steps` updates with gradients that depend on the step alone.
fn advance(trainer: Trainer<f64>, steps: i64) -> Trainer<f64> {
    let mut driver = ManualReplicas::new(trainer, 2);
    let until = driver.global_step() + steps;
    while driver.global_step() < until {
        let step = driver.global_step() as f64;
        for replica in driver.ready() {
            let own = step + replica as f64 / 3.0;
            let row = IndexedSlices::new(vec![replica as i64], array![[own]], None);
            let gradients = Gradients::new()
                .dense("w", array![own, -0.1 * own])
                .sparse("table", row.expect("one row"));
            driver.push(replica, gradients).expect("it fits");
        }
    }
    driver.trainer
}

/// Everything but the generation, as text: every number with all its digits.
fn everything(trainer: &Trainer<f64>) -> String {
    let state = trainer.training_state().expect("it is whole");
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        state.global_step, state.variables, state.optimizer_state, state.averages, state.positions
    )
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// what comes back is what was saved, to the last bit, and so is what follows.
#[test]
fn there_and_back() {
    let folder = folder();
    let first = advance(rich(), 3);
    let place = first.save(folder.path(), 1).expect("it is written");
    let second = rich();
    let step = second.restore(folder.path()).expect("it is good");
    assert_eq!(step.get(), 3);
    assert_eq!(everything(&second), everything(&first));
    assert_eq!(second.snapshot().variables.sha256(), first.snapshot().variables.sha256());
    assert_eq!(second.averages(), first.averages());
    let read: checkpoint::TrainingState<f64> = checkpoint::read(&place).expect("it is good");
    assert_eq!(read.averaged(), first.averages());
    for (variable, slot) in [("w", "m"), ("table", "v")] {
        assert_eq!(second.slot(variable, slot), first.slot(variable, slot), "{variable} {slot}");
        assert!(second.slot(variable, slot).is_some());
    }
    // By the checkpoint's own name as well.
    let third = rich();
    third.restore(&place).expect("it is good");
    // Both go on in a new generation, so that nothing differs but what was saved.
    first.restore(&place).expect("it is good");
    let ends = [first, second, third].map(|trainer| everything(&advance(trainer, 3)));
    assert!(ends[0] == ends[1] && ends[1] == ends[2], "{ends:#?}");
}

/// numbers that JSON and rounding would lose.
#[test]
fn odd_numbers_survive() {
    let folder = folder();
    let odd = array![f64::NAN, f64::INFINITY, -0.0, f64::MIN_POSITIVE / 8.0, 0.1];
    let odd = Variables::new().with("ü/w:0 \"x\"", odd).expect("one name");
    let build = |variables: Variables<f64>| SyncReplicas::new(Sgd::new(0.1)).build(variables);
    let first = build(odd.clone()).expect("it is valid");
    first.save(folder.path(), 1).expect("it is written");
    let zeros = Variables::new().with("ü/w:0 \"x\"", ndarray::Array1::zeros(5));
    let second = build(zeros.expect("one name")).expect("it is valid");
    second.restore(folder.path()).expect("it is good");
    assert_eq!(second.snapshot().variables.sha256(), odd.sha256());
}

/// P-9: a restore begins a new generation; a replica of the old one can do nothing any more.
#[test]
fn a_restore_fences_off_the_past() {
    let folder = folder();
    let trainer = rich();
    trainer.save(folder.path(), 1).expect("it is written");
    let before = trainer.snapshot().generation;
    let mut busy = trainer.replica(ReplicaId::new(0)).expect("it is free");
    let mut idle = trainer.replica(ReplicaId::new(1)).expect("it is free");
    let step = busy.next_step().expect("not overdue").expect("not ended");

    trainer.restore(folder.path()).expect("it is good");
    let generation = trainer.snapshot().generation;
    assert!(generation > before);
    let refused = step.push(Gradients::new().dense("w", array![1.0, 1.0]).missing("table"));
    let expected = Refused::Generation { expected: generation, got: before };
    assert!(
        matches!(&refused, Err(PushError::Refused(refused)) if *refused == expected),
        "{refused:?}"
    );
    let refused = idle.next_step().map(|step| step.is_some());
    assert!(matches!(refused, Err(WaitError::Refused(Refused::NotJoined { .. }))), "{refused:?}");
    let refused = busy.next_step().map(|step| step.is_some());
    assert!(matches!(refused, Err(WaitError::Refused(_))), "{refused:?}");
    assert_eq!(trainer.totals().batches, 0);

    // The numbers are free while the old handles still live, which neither take the place of the
    // new ones nor drag them along when they go.
    let mut again = trainer.replica(ReplicaId::new(0)).expect("it is free");
    let refused = busy.next_step().map(|step| step.is_some());
    assert!(matches!(refused, Err(WaitError::Refused(_))), "{refused:?}");
    drop((busy, idle));
    assert!(again.next_step().expect("not overdue").is_some());
    drop(again);
    assert_eq!(advance(trainer, 1).snapshot().global_step.get(), 1);

    // It grows above what is here and above what was saved, whichever is more.
    let other = rich();
    other.restore(folder.path()).expect("it is good");
    let first = other.snapshot().generation;
    other.restore(folder.path()).expect("it is good");
    assert!(other.snapshot().generation > first);
    other.save(folder.path(), 1).expect("it is written");
    let late = rich();
    late.restore(folder.path()).expect("it is good");
    assert!(late.snapshot().generation > other.snapshot().generation);
}

/// The two files of the only checkpoint in a folder.
fn files(folder: &Path) -> [PathBuf; 2] {
    let place = checkpoint::latest(folder).expect("it is there").expect("one");
    ["tensors.safetensors", "manifest.json"].map(|name| place.join(name))
}

/// A damaged file is refused, and nothing of it was taken over.
#[track_caller]
fn check_damaged(trainer: &Trainer<f64>, folder: &Path, what: &str) {
    let before = (everything(trainer), trainer.snapshot());
    let error = trainer.restore(folder).expect_err(what);
    assert!(
        matches!(error, CheckpointError::Damaged { .. } | CheckpointError::Mismatch { .. }),
        "{what}: {error:?}"
    );
    assert_eq!((everything(trainer), trainer.snapshot()), before, "{what}");
}

/// However much of a file is missing, and whatever is added, it is found.
#[test]
fn cut_short_or_made_longer() {
    let folder = folder();
    small().save(folder.path(), 1).expect("it is written");
    let trainer = small();
    for file in files(folder.path()) {
        let whole = fs::read(&file).expect("it is there");
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).expect("it can be written");
            check_damaged(&trainer, folder.path(), &format!("{} at {length}", file.display()));
        }
        fs::write(&file, [&whole[..], b"x"].concat()).expect("it can be written");
        check_damaged(&trainer, folder.path(), "one byte more");
        fs::write(&file, &whole).expect("it can be written");
    }
    trainer.restore(folder.path()).expect("whole again");
}

/// Whichever byte has a flipped bit, it is found.
#[test]
fn one_bit_flipped() {
    let folder = folder();
    small().save(folder.path(), 1).expect("it is written");
    let trainer = small();
    for file in files(folder.path()) {
        let whole = fs::read(&file).expect("it is there");
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            // Another bit for each byte, so that every kind of flip comes by.
            bytes[place] ^= 1 << (place % 8);
            fs::write(&file, bytes).expect("it can be written");
            check_damaged(&trainer, folder.path(), &format!("{}: byte {place}", file.display()));
        }
        fs::write(&file, &whole).expect("it can be written");
    }
    trainer.restore(folder.path()).expect("whole again");
}

#[track_caller]
fn check_mismatch(folder: &Path, trainer: &Trainer<f64>, words: &[&str]) {
    let before = (everything(trainer), trainer.snapshot());
    let error = trainer.restore(folder).expect_err("it does not fit");
    assert!(matches!(error, CheckpointError::Mismatch { .. }), "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "{error} does not say {word}");
    }
    assert_eq!((everything(trainer), trainer.snapshot()), before);
}

/// A checkpoint of something else is refused with what was expected and what came; all or nothing.
#[test]
fn of_something_else() {
    let folder = folder();
    advance(rich(), 2).save(folder.path(), 1).expect("it is written");
    let folder = folder.path();
    let adam = || SyncReplicas::new(Adam::new(0.1)).moving_average(0.9);
    let w = || Variables::new().with("w", array![1.0, 2.0]).expect("one name");

    let other_names = w().with("bias", array![[0.0], [0.0], [0.0]]).expect("two names");
    check_mismatch(folder, &adam().build(other_names).expect("valid"), &["table", "bias"]);
    check_mismatch(folder, &adam().build(w()).expect("valid"), &["table"]);
    let other_shape = w().with("table", array![[0.0, 0.0]]).expect("two names");
    check_mismatch(folder, &adam().build(other_shape).expect("valid"), &["[1, 2]", "[3, 1]"]);
    let momentum = SyncReplicas::new(Momentum::new(0.1, 0.9)).moving_average(0.9);
    check_mismatch(folder, &momentum.build(variables()).expect("valid"), &["momentum", "adam"]);
    let no_averages = SyncReplicas::new(Adam::new(0.1)).build(variables()).expect("valid");
    check_mismatch(folder, &no_averages, &["moving averages"]);
    let one_average = adam().variables_to_average(["w"]).build(variables()).expect("valid");
    check_mismatch(folder, &one_average, &["moving averages"]);

    let single = Variables::new().with("w", array![1.0_f32, 2.0]).expect("one name");
    let single = SyncReplicas::new(Adam::new(0.1)).build(single).expect("valid");
    let error = single.restore(folder).expect_err("another number type");
    assert!(error.to_string().contains("F32 here and F64"), "{error}");

    // After all that the right one still takes it.
    rich().restore(folder).expect("it fits");
}

/// Averages here but not there.
#[test]
fn averages_that_were_not_kept() {
    let folder = folder();
    let plain = SyncReplicas::new(Adam::new(0.1)).build(variables()).expect("it is valid");
    plain.save(folder.path(), 1).expect("it is written");
    check_mismatch(folder.path(), &rich(), &["moving averages are kept here but not there"]);
}

/// A failed restore disturbs no replica: all go on in their generation.
#[test]
fn a_restore_that_fails_while_training() {
    let folder = folder();
    small().save(folder.path(), 1).expect("it is written");
    let mut driver = ManualReplicas::new(rich(), 2);
    let gradients = || Gradients::new().dense("w", array![1.0, 1.0]).missing("table");
    driver.push(0, gradients()).expect("it fits");
    driver.trainer.restore(folder.path()).expect_err("another model");
    driver.push(1, gradients()).expect("it fits");
    assert_eq!((driver.global_step(), driver.ready()), (1, vec![0, 1]));
}

/// There is nothing to restore.
#[test]
fn no_checkpoint() {
    let folder = folder();
    fs::write(folder.path().join("notes.txt"), "not a checkpoint").expect("it can be written");
    fs::create_dir(folder.path().join("checkpoint-000000007")).expect("it can be made");
    fs::create_dir(folder.path().join("checkpoint-latest")).expect("it can be made");
    let trainer = small();
    for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
        let error = trainer.restore(&path).expect_err("there is none");
        assert!(matches!(error, CheckpointError::NotFound { .. }), "{error:?}");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
}

/// A folder that cannot be made names the path and the reason, and training is as it was.
#[test]
fn a_folder_that_cannot_be_written() {
    let folder = folder();
    let file = folder.path().join("a file");
    fs::write(&file, "in the way").expect("it can be written");
    let trainer = small();
    for path in [file.clone(), file.join("below")] {
        let error = trainer.save(&path, 1).expect_err("a file is in the way");
        assert!(matches!(error, CheckpointError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains("a file"), "{error}");
    }
    assert_eq!(fs::read(&file).expect("it is there"), b"in the way");
    assert_eq!(advance_one(&trainer), 1);
}

fn advance_one(trainer: &Trainer<f64>) -> i64 {
    let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
    let step = replica.next_step().expect("not overdue").expect("not ended");
    step.push(Gradients::new().dense("w", array![1.0])).expect("it fits");
    trainer.snapshot().global_step.get()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is there");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("it is there").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// The newest ones stay, at least one of them.
#[test]
fn only_so_many_are_kept() {
    for (keep, kept) in [(0, 1), (1, 1), (2, 2), (9, 4)] {
        let folder = folder();
        let trainer = small();
        for _ in 0..4 {
            advance_one(&trainer);
            trainer.save(folder.path(), keep).expect("it is written");
        }
        let kept = (1..=4).skip(4 - kept).map(|step| format!("checkpoint-{step:09}"));
        let expected: Vec<String> = kept.chain(["generation".to_owned()]).collect();
        assert_eq!(names(folder.path()), expected, "keep {keep}");
        let latest = checkpoint::latest(folder.path()).expect("it is there").expect("one");
        assert!(latest.ends_with("checkpoint-000000004"));
    }
}

/// What a crash leaves half-written is not found, not in the way, and gone after the next save.
#[test]
fn left_by_a_crash() {
    let folder = folder();
    let trainer = small();
    trainer.save(folder.path(), 3).expect("it is written");
    // A crash in the midst of saving step 1.
    let aside = folder.path().join(".checkpoint-000000001.new");
    fs::create_dir(&aside).expect("it can be made");
    fs::write(aside.join("manifest.json"), "{").expect("it can be written");
    // And one in the midst of removing what a second saving of step 0 had replaced.
    let old = folder.path().join(".checkpoint-000000000.old");
    fs::create_dir(&old).expect("it can be made");
    fs::write(old.join("manifest.json"), "{").expect("it can be written");

    assert_eq!(small().restore(folder.path()).expect("step 0 is good").get(), 0);
    trainer.save(folder.path(), 3).expect("step 0 is written once more");
    advance_one(&trainer);
    trainer.save(folder.path(), 3).expect("it is written");
    assert_eq!(
        names(folder.path()),
        ["checkpoint-000000000", "checkpoint-000000001", "generation"]
    );
    // The same step again takes the place of the one that is there.
    trainer.save(folder.path(), 3).expect("it is written");
    assert_eq!(
        names(folder.path()),
        ["checkpoint-000000000", "checkpoint-000000001", "generation"]
    );
    assert_eq!(small().restore(folder.path()).expect("step 1 is good").get(), 1);
}

#[test]
fn a_crash_between_the_two_renames_leaves_the_old_one() {
    // The same step written again: the old one is moved aside, then the new one into its place.
    let folder = tempfile::tempdir().expect("a folder");
    let trainer = sync_replicas::SyncReplicas::new(optim::Sgd::new(1.0))
        .build(
            sync_replicas::Variables::new().with("w", ndarray::array![1.5_f32]).expect("one name"),
        )
        .expect("the numbers fit");
    let place = trainer.save(folder.path(), 3).expect("it is written");
    let aside = folder.path().join(".checkpoint-000000000.old");
    std::fs::rename(&place, &aside).expect("the first rename");
    assert_eq!(
        sync_replicas::checkpoint::latest(folder.path()).expect("it lists"),
        Some(aside.clone())
    );
    assert_eq!(trainer.restore(folder.path()).expect("it is read").get(), 0);
    // The next one written takes its place, and nothing stays aside.
    let place = trainer.save(folder.path(), 3).expect("it is written");
    assert_eq!(sync_replicas::checkpoint::latest(folder.path()).expect("it lists"), Some(place));
    assert!(!aside.exists());
}
