//! Checkpoints with tables: all that decides about rows, whole or not at all (P-17).

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, array};
use optim::{LazyAdam, Sgd};
use sync_replicas::checkpoint::{self, CheckpointError, TrainingState};
use sync_replicas::options::EvictBy;
use sync_replicas::{Gradients, IndexedSlices, ReplicaId, SyncReplicas, Table, Trainer, Variables};

/// Rows that come and go, and keys that are counted first.
fn table() -> Table {
    Table::new("a/b", 2).normal(0.0, 1.0).admit_after(2).evict_beyond(20, EvictBy::LastUse)
}

fn trainer(table: Table) -> Trainer<f64> {
    let variables = Variables::new().with("w", array![1.0]).and_then(|it| it.with_table(table));
    let variables = variables.expect("names of their own");
    SyncReplicas::new(LazyAdam::new(0.1)).build(variables).expect("it is valid")
}

/// Makes so many steps, each with keys that depend on its number alone.
fn advance(trainer: &Trainer<f64>, steps: i64) {
    let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
    for _ in 0..steps {
        let step = replica.next_step().expect("no deadline").expect("it goes on");
        let at = step.global_step().get();
        let keys: Vec<i64> = (0..6).map(|n| (at * 5 + n * n * 3) % 37 - 10).collect();
        let rows = step.lookup("a/b", &keys).expect("its step is open");
        let gradients = Gradients::new()
            .dense("w", array![0.5])
            .sparse("a/b", IndexedSlices::by_key(keys, rows * 0.25).expect("a row a key"));
        step.push(gradients).expect("it fits");
    }
}

fn rows(trainer: &Trainer<f64>) -> Array2<f64> {
    let keys: Vec<i64> = (-12..30).collect();
    trainer.lookup("a/b", &keys).expect("a table")
}

fn read(path: &Path) -> Result<TrainingState<f64>, CheckpointError> {
    checkpoint::read(path)
}

/// P-17, R-15: rows, slots, counts and stamps come back, and what follows has the same bits.
#[test]
fn there_and_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = trainer(table());
    advance(&first, 20);
    first.save(folder.path(), 2).expect("it is written");
    let second = trainer(table());
    assert_ne!(rows(&second), rows(&first));
    assert_eq!(second.restore(folder.path()).expect("it is good").get(), 20);
    let num_rows = |of: &Trainer<f64>| of.table_reader().num_rows("a/b");
    for _ in 0..10 {
        assert_eq!(rows(&second), rows(&first));
        assert_eq!(num_rows(&second), num_rows(&first));
        advance(&first, 3);
        advance(&second, 3);
    }
    assert_eq!(num_rows(&first), Some(20), "rows were given up");
}

/// P-17: a run that goes on elsewhere begins with the checkpoint of the other, rows and all.
#[test]
fn a_state_that_was_read_is_written_with_its_rows() {
    let (from, to) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    let first = trainer(table());
    advance(&first, 20);
    let saved = read(&first.save(from.path(), 2).expect("it is written")).expect("it is good");
    // Elsewhere, and in the place of the very checkpoint that it was read from.
    for folder in [to.path(), from.path()] {
        let copied = checkpoint::write(folder, &saved, 2).expect("it is written");
        assert_eq!(read(&copied).expect("it is good").tables.tables(), saved.tables.tables());
        let second = trainer(table());
        second.restore(folder).expect("it fits");
        assert_eq!(rows(&second), rows(&first));
    }
}

/// P-17: evaluation and prediction read no more files than the rows are in.
#[test]
fn few_rows_are_read_without_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let trained = trainer(table());
    advance(&trained, 20);
    let place = trained.save(folder.path(), 2).expect("it is written");
    let state = checkpoint::open::<f64>(&place).expect("it is good");
    let keys: Vec<i64> = (-12..30).rev().chain([5, 5]).collect();
    let found: Vec<f64> = state.tables.lookup("a/b", &keys).expect("they are good");
    let expected = trained.lookup("a/b", &keys).expect("a table");
    assert_eq!(found, expected.into_raw_vec_and_offset().0);
    assert!(state.tables.lookup::<f64>("b", &keys).is_err());
    assert_eq!(state.tables.tables()[0].rows(), 20);
}

/// The files of rows in a checkpoint.
fn files(place: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(place).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = all
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("rows-") || name.starts_with("candidates-")
        })
        .collect();
    files.sort();
    files
}

/// P-17, P-9: a bit that is flipped, a file that is cut or gone is found, the one before is taken
/// instead, and a training that cannot have the rows stays as it was.
#[test]
fn damage_is_found() {
    #[track_caller]
    fn check(damage: impl Fn(&Path)) {
        let folder = tempfile::tempdir().expect("a folder");
        let trained = trainer(table());
        advance(&trained, 10);
        let old = trained.save(folder.path(), 3).expect("it is written");
        advance(&trained, 10);
        let new = trained.save(folder.path(), 3).expect("it is written");
        assert_eq!(files(&new).len(), 2, "rows and candidates");
        for file in files(&new) {
            let bytes = fs::read(&file).expect("it is there");
            damage(&file);
            let error = read(&new).map(drop).expect_err("it is damaged");
            assert!(matches!(error, CheckpointError::Damaged { .. }), "{error}");
            let other = trainer(table());
            advance(&other, 2);
            let before = rows(&other);
            other.restore(&new).expect_err("it is damaged");
            assert_eq!(rows(&other), before, "it stays as it was");
            assert_eq!(other.restore(folder.path()).expect("the old one is good").get(), 10);
            fs::write(&file, bytes).expect("it can be written");
        }
        assert_eq!(read(folder.path()).expect("it is good").global_step.get(), 20);
        read(&old).expect("it is good");
    }
    check(|file| fs::remove_file(file).expect("it is there"));
    check(|file| {
        let mut bytes = fs::read(file).expect("it is there");
        bytes.pop();
        fs::write(file, bytes).expect("it can be written");
    });
    check(|file| {
        let mut bytes = fs::read(file).expect("it is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(file, bytes).expect("it can be written");
    });
}

/// P-17: rows that no update has made must stay as they are; who is admitted and evicted may
/// differ.
#[test]
fn another_table_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let trained = trainer(table());
    advance(&trained, 20);
    trained.save(folder.path(), 2).expect("it is written");
    let check = |table: Table, expected: &str| {
        let other = trainer(table);
        let restored = other.restore(folder.path()).err().map(|it| it.to_string());
        let text = restored.unwrap_or_default();
        assert_eq!(text.is_empty(), expected.is_empty(), "{text}");
        assert!(text.contains(expected), "{text}");
        other
    };
    check(table().seed(1), "a table is Table");
    check(table().normal(0.0, 2.0), "a table is Table");
    check(Table::new("a/c", 2).normal(0.0, 1.0), "a table is Table");
    check(Table::new("a/b", 3).normal(0.0, 1.0), "a table is Table");
    let fewer = check(Table::new("a/b", 2).normal(0.0, 1.0).evict_beyond(5, EvictBy::Count), "");
    assert_eq!(fewer.table_reader().num_rows("a/b"), Some(20));
    advance(&fewer, 1);
    assert_eq!(fewer.table_reader().num_rows("a/b"), Some(5));
    let none = Variables::new().with("w", array![1.0]).expect("a name");
    let none = SyncReplicas::new(LazyAdam::new(0.1)).build::<f64>(none).expect("it is valid");
    let error = none.restore(folder.path()).expect_err("it has tables").to_string();
    assert!(error.contains("0 tables are declared here and 1 there"), "{error}");
    let variables = Variables::<f64>::new().with("w", array![1.0]);
    let variables = variables.and_then(|it| it.with_table(table())).expect("names");
    let sgd = SyncReplicas::new(Sgd::new(0.1)).build(variables).expect("it is valid");
    let error = sgd.restore(folder.path()).expect_err("another optimizer").to_string();
    assert!(error.contains("lazy_adam") || error.contains("slots"), "{error}");
}

/// P-17: a save is of one step, however many are made while it is written.
#[test]
fn a_save_is_of_one_step_while_training_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let trained = trainer(table());
    advance(&trained, 5);
    std::thread::scope(|scope| {
        let saver = trained.save_handle();
        let folder = folder.path();
        let saves = scope.spawn(move || {
            (0..30).for_each(|_| drop(saver.save(folder, 100).expect("it is written")))
        });
        while !saves.is_finished() {
            advance(&trained, 1);
        }
    });
    let again = trainer(table());
    advance(&again, 5);
    let places = checkpoint::all(folder.path()).expect("a list");
    assert!(!places.is_empty());
    for place in places {
        let restored = trainer(table());
        let step = restored.restore(&place).expect("it is good").get();
        advance(&again, step - again.snapshot().global_step.get());
        assert_eq!(rows(&restored), rows(&again), "step {step}");
    }
}
