//! Power cuts between any two file operations of a write: the old checkpoint or the new one, whole.
//!
//! The machine of these tests loses as much as POSIX lets it: a file that was not synced keeps any
//! part of its bytes, and a name that was not synced goes back to what it was.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use embedding_table::{Block, Table, TableStore};
use indexmap::IndexMap;
use ndarray::array;
use optim::{OptimizerState, Sgd};
use tempfile::TempDir;

use super::*;
use crate::Variables;
use crate::checkpoint::read;
use crate::store::Tables;
use engine::Generation;

/// What a power cut leaves of that which was not synced.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Of a file: this many of every 2 halves of its bytes.
    halves_kept: usize,
    /// Of a renamed folder: whether the new name.
    names_kept: bool,
}

/// A disk whose machine goes off after so many operations.
struct FailingDisk {
    left: usize,
    done: usize,
    unsynced_files: Vec<PathBuf>,
    /// From and to, oldest first.
    unsynced_names: Vec<(PathBuf, PathBuf)>,
}

impl FailingDisk {
    fn new(left: usize) -> Self {
        Self { left, done: 0, unsynced_files: Vec::new(), unsynced_names: Vec::new() }
    }

    fn step(&mut self) -> io::Result<()> {
        if self.done == self.left {
            return Err(io::Error::other("the machine is off"));
        }
        self.done += 1;
        Ok(())
    }

    /// The machine comes back, without what was not synced.
    fn cut(self, cut: Cut) {
        for (from, to) in self.unsynced_names.into_iter().rev().filter(|_| !cut.names_kept) {
            if to.exists() {
                fs::rename(to, from).expect("a name goes back");
            }
        }
        for path in self.unsynced_files {
            // It may lie under another name by now, or be gone.
            let found = [path.clone(), moved(&path)].into_iter().find(|path| path.exists());
            if let Some(path) = found {
                let bytes = fs::read(&path).expect("a file");
                fs::write(&path, &bytes[..bytes.len() * cut.halves_kept / 2]).expect("a file");
            }
        }
    }
}

/// Where a file of the folder that is written aside lies after the rename.
fn moved(path: &Path) -> PathBuf {
    let (folder, file) = (path.parent().expect("a folder"), path.file_name().expect("a name"));
    let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
    let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new")).unwrap_or(name);
    folder.with_file_name(name).join(file)
}

impl Disk for FailingDisk {
    fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.create_folder(path)
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        self.unsynced_files.push(path.to_owned());
        SystemDisk.write(path, bytes)
    }

    fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.unsynced_files.retain(|unsynced| unsynced != path);
        Ok(())
    }

    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.unsynced_names.retain(|(_, to)| to.parent() != Some(path));
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.rename(from, to)?;
        self.unsynced_names.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// File by file, as a system does it.
    fn remove_folder(&mut self, path: &Path) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            self.step()?;
            fs::remove_file(entry?.path())?;
        }
        self.step()?;
        fs::remove_dir(path)
    }
}

fn state(step: i64, value: f64) -> TrainingState<f64> {
    TrainingState {
        run: None,
        global_step: accum_core::GlobalStep::new(step),
        generation: Generation::new(1),
        variables: Variables::new().with("w", array![value]).expect("one name"),
        optimizer: "sgd".to_owned(),
        optimizer_state: IndexMap::new(),
        averages: None,
        positions: engine::Positions::default(),
        definition: None,
        tables: Default::default(),
    }
}

/// A power cut after `left` operations of replacing `old` by `new`, with `keep` 1; whether the
/// write had already said that it is done.
fn check_cut(left: usize, cut: Cut, old: &TrainingState<f64>, new: &TrainingState<f64>) -> bool {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    write(folder, old, 1).expect("the old one is written");
    let mut disk = FailingDisk::new(left);
    let written = write_on(&mut disk, folder, new, RowsToSave::AsRead, 1).is_ok();
    disk.cut(cut);
    let when = format!("a cut after {left} operations with {cut:?}");
    let found = read::<f64>(folder).unwrap_or_else(|error| panic!("{when}: {error}"));
    let is = |state: &TrainingState<f64>| {
        found.global_step == state.global_step && found.variables == state.variables
    };
    assert!(is(new) || (is(old) && !written), "{when}: {found:?}");
    // What a cut left over is in no writer's way.
    write(folder, new, 1).unwrap_or_else(|error| panic!("{when}: {error}"));
    let found = read::<f64>(folder).expect("a good one");
    assert_eq!(found.variables, new.variables, "{when}");
    let names = fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").file_name());
    let names: Vec<_> = names.map(|it| it.to_string_lossy().into_owned()).collect();
    let left = names.iter().filter(|it| it.contains(PREFIX)).count();
    assert_eq!(left, 1, "{when}: something is left for good: {names:?}");
    written
}

/// P-9: what a checkpoint promised is on the medium before it is said, and at every moment one
/// whole checkpoint can be read.
#[track_caller]
fn check(old: &TrainingState<f64>, new: &TrainingState<f64>) {
    for halves_kept in 0..=2 {
        for names_kept in [false, true] {
            let cut = Cut { halves_kept, names_kept };
            let operations = (0..).find(|&left| check_cut(left, cut, old, new));
            assert!(operations >= Some(9), "only {operations:?} operations: nothing was cut");
        }
    }
}

/// Tables whose only row, of the key 1, has this number.
fn tables(value: f64) -> TableSaves<f64> {
    let optimizer = OptimizerState::new(Sgd::new(1.0)).expect("it fits");
    let table = Table::new("t", 1).constant(0.0);
    let tables = Arc::new(Tables::new(std::slice::from_ref(&table), &optimizer).expect("it fits"));
    let mut store = TableStore::new(table, &[]).expect("it makes sense");
    let block = Block { keys: vec![1], counts: vec![1], steps: vec![1], rows: vec![value] };
    store.put(&block).expect("it is new");
    tables.replace(vec![store]);
    tables.begin_save()
}

/// P-17: no checkpoint is published without rows that a writer has put into another folder of the
/// same name, nor without the folder of a writer that had none.
#[test]
fn rows_that_are_elsewhere_are_missed() {
    let check = |elsewhere: &[f64], here: &[f64]| {
        let (folder, other) = (TempDir::new().expect("one"), TempDir::new().expect("two"));
        let aside = aside_name(GlobalStep::new(3), "1-1");
        let write = |folder: &TempDir, value: &f64, writer| {
            write_rows(folder.path(), &aside, tables(*value), writer).expect("it is written")
        };
        let mut written: Vec<_> =
            here.iter().enumerate().map(|(n, value)| write(&folder, value, n)).collect();
        written.extend(elsewhere.iter().map(|value| write(&other, value, 7)));
        let rows = RowsToSave::Written(aside, written);
        write_with_rows(folder.path(), &state(3, 0.5), rows, 1).map_err(|it| it.to_string())
    };
    check(&[], &[7.0]).expect("all of it is there");
    for here in [&[][..], &[7.0]] {
        let refused = check(&[8.0], here).expect_err("some are elsewhere");
        assert!(refused.contains("all servers need one and the same folder"), "{refused}");
    }
}

/// P-17: so it is with rows, whose files are written before the manifest.
#[test]
fn a_power_cut_while_rows_are_written() {
    for halves_kept in 0..=2 {
        for names_kept in [false, true] {
            let cut = Cut { halves_kept, names_kept };
            let whole = (0..).find(|&left| {
                let folder = TempDir::new().expect("a folder");
                let folder = folder.path();
                let (old, new) = (state(3, 0.5), state(4, 0.25));
                write_with_rows(folder, &old, RowsToSave::Own(tables(7.0)), 1).expect("written");
                let mut disk = FailingDisk::new(left);
                let written =
                    write_on(&mut disk, folder, &new, RowsToSave::Own(tables(8.0)), 1).is_ok();
                disk.cut(cut);
                let found = read::<f64>(folder).expect("a good one");
                let row: Vec<f64> = found.tables.lookup("t", &[1]).expect("a good one");
                let of = if found.global_step == new.global_step { 8.0 } else { 7.0 };
                assert_eq!(row, [of], "after {left} operations with {cut:?}");
                assert!(of == 8.0 || !written, "after {left} operations with {cut:?}");
                written
            });
            assert!(whole >= Some(11), "only {whole:?} operations: nothing was cut");
        }
    }
}

#[test]
fn a_power_cut_while_a_later_step_is_written() {
    check(&state(3, 0.5), &state(4, 0.25));
}

#[test]
fn a_power_cut_while_the_same_step_is_written_again() {
    check(&state(3, 0.5), &state(3, 0.25));
}
