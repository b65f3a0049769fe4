//! The rows of tables in a checkpoint: files of some rows each, in the order of their places.
//!
//! Each is a separate safetensors file, listed with its checksum in the manifest: written while
//! training goes on, read one by one, and the same for any number of writers. Invariant: no row is
//! taken over before the checksum of its file was found right.

mod writing;

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use embedding_table::{Block, Table, TableStore, place};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

pub(in crate::checkpoint) use self::writing::write_tables;
use super::CheckpointError;
use super::disk::{Disk, write_synced};
use super::file_entry::{FileEntry, check_length, missing_or_unreadable};
use crate::Scalar;
use crate::checksum::sha256_hex;
use crate::store::{RestoreError, Tables};

/// The tables of a checkpoint, and the folder that has their files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedTables {
    pub(super) folder: PathBuf,
    pub(super) tables: Vec<SavedTable>,
}

/// One table of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedTable {
    /// Its declaration.
    table: Table,
    /// The slots of each row, in order.
    slots: Vec<String>,
    files: Vec<RowsFile>,
}

/// A file of rows, or of keys that are counted and have no row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RowsFile {
    #[serde(flatten)]
    file: FileEntry,
    rows: u64,
    candidates: bool,
    /// The places of its first and its last row.
    first: u64,
    last: u64,
}

/// Which rows of its tables one of several stores has: those that a [`Table`] says are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableShare {
    /// The number of the store.
    pub own: usize,
    /// How many stores share the rows.
    pub stores: usize,
}

impl TableShare {
    /// All rows.
    pub const ALL: Self = Self { own: 0, stores: 1 };
}

const KEYS: &str = "keys";
const COUNTS: &str = "counts";
const STEPS: &str = "steps";
const VALUES: &str = "values";
const SLOT: &str = "slot/";

/// Why what several servers have written is not one checkpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum WritersDiffer {
    #[error("a server has written {got} tables, another {expected}")]
    Count { expected: usize, got: usize },
    #[error("a server has written the table `{got}`, another `{expected}`, or other slots of it")]
    Tables { expected: String, got: String },
}

impl SavedTable {
    /// Each table of what several writers have written.
    pub(super) fn together(written: Vec<Vec<Self>>) -> Result<Vec<Self>, WritersDiffer> {
        let mut writers = written.into_iter();
        let mut all = writers.next().unwrap_or_default();
        for other in writers {
            if other.len() != all.len() {
                let (expected, got) = (all.len(), other.len());
                return Err(WritersDiffer::Count { expected, got });
            }
            for (table, other) in all.iter_mut().zip(other) {
                if (&table.table, &table.slots) != (&other.table, &other.slots) {
                    let [expected, got] = [&table.table, &other.table].map(|it| it.name().into());
                    return Err(WritersDiffer::Tables { expected, got });
                }
                table.files.extend(other.files);
            }
        }
        Ok(all)
    }

    /// The declaration.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().filter(|it| !it.candidates).map(|it| it.rows).sum()
    }
}

impl SavedTables {
    /// The name of the checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&str> {
        self.folder.file_name()?.to_str()
    }

    /// The tables, in the order in which they were declared.
    #[must_use]
    pub fn tables(&self) -> &[SavedTable] {
        &self.tables
    }

    /// Whether stores of these declarations and slots can take the rows over: rows that no update
    /// has made must stay as they are. Admission and eviction may differ.
    pub(crate) fn check<'a>(
        &self,
        declared: impl ExactSizeIterator<Item = &'a Table>,
        slots: &[&str],
    ) -> Result<(), RestoreError> {
        let (here, there) = (declared.len(), self.tables.len());
        if here != there {
            return Err(RestoreError::TableCount { here, there });
        }
        for (here, saved) in declared.zip(&self.tables) {
            let there = &saved.table;
            if !here.is_born_as(there) {
                let (here, there) = (Box::new(here.clone()), Box::new(there.clone()));
                return Err(RestoreError::TableDeclaration { here, there });
            }
            if saved.slots != slots {
                return Err(RestoreError::TableSlots {
                    name: here.name().to_owned(),
                    here: slots.iter().map(|&slot| slot.to_owned()).collect(),
                    there: saved.slots.clone(),
                });
            }
        }
        Ok(())
    }

    /// Stores with the rows of these tables that are in the share, to be
    /// [put in place](Tables::replace); files of other stores' rows are not read.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`]: other tables; [`CheckpointError::Damaged`] when a bit differs
    /// from what was written.
    pub fn load<T: Scalar>(
        &self,
        tables: &Tables<T>,
        share: TableShare,
    ) -> Result<Vec<TableStore<T>>, CheckpointError> {
        self.check(tables.declared().iter(), &tables.slots()).map_err(CheckpointError::mismatch)?;
        let mut stores = tables.empty_stores().map_err(CheckpointError::mismatch)?;
        for (saved, store) in self.tables.iter().zip(&mut stores) {
            self.load_table(saved, store, share)?;
        }
        Ok(stores)
    }

    fn load_table<T: Scalar>(
        &self,
        saved: &SavedTable,
        store: &mut TableStore<T>,
        TableShare { own, stores }: TableShare,
    ) -> Result<(), CheckpointError> {
        let declared = store.table().clone();
        let owns = |key: i64| declared.owner(key, stores) == own;
        let owner = |place: u64| declared.owner_of_place(place, stores);
        for file in &saved.files {
            if owner(file.first) > own || owner(file.last) < own {
                continue;
            }
            let path = self.folder.join(&file.file.name);
            let block = saved.read::<T>(file, &path)?;
            let own = only(&block, owns);
            store.put(&own).map_err(|error| damaged(&path, error.to_string()))?;
        }
        Ok(())
    }

    /// The values of these keys' rows of a table, one after the other; reads only the files that
    /// have them.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`]; [`CheckpointError::Mismatch`] without such a table.
    pub fn lookup<T: Scalar>(&self, table: &str, keys: &[i64]) -> Result<Vec<T>, CheckpointError> {
        let saved = self.tables.iter().find(|it| it.table.name() == table);
        let saved = saved.ok_or_else(|| {
            let known: Vec<_> = self.tables.iter().map(|it| it.table.name()).collect();
            let what = format!("it has no table `{table}`; its tables are: {}", known.join(", "));
            CheckpointError::Mismatch { what }
        })?;
        let width = saved.table.width();
        let mut rows = vec![T::zero(); keys.len() * width];
        let mut wanted: Vec<(u64, usize)> =
            keys.iter().enumerate().map(|(n, key)| (place(*key), n)).collect();
        wanted.sort_unstable();
        for (key, row) in keys.iter().zip(rows.chunks_exact_mut(width)) {
            saved.table.born(*key, row);
        }
        for file in saved.files.iter().filter(|it| !it.candidates) {
            let from = wanted.partition_point(|(place, _)| *place < file.first);
            let to = wanted.partition_point(|(place, _)| *place <= file.last);
            if from == to {
                continue;
            }
            let block = saved.read::<T>(file, &self.folder.join(&file.file.name))?;
            let stride = width * (1 + saved.slots.len());
            for (own, n) in &wanted[from..to] {
                if let Ok(at) = block.keys.binary_search_by_key(own, |key| place(*key)) {
                    let row = &block.rows[at * stride..][..width];
                    rows[n * width..][..width].copy_from_slice(row);
                }
            }
        }
        Ok(rows)
    }

    /// Copies every file into another checkpoint's folder, one file in memory at a time.
    pub(super) fn copy_to(
        self,
        disk: &mut impl Disk,
        folder: &Path,
    ) -> Result<Vec<SavedTable>, CheckpointError> {
        for file in self.tables.iter().flat_map(|table| &table.files) {
            let bytes = read_checked(&file.file, &self.folder.join(&file.file.name))?;
            write_synced(disk, &folder.join(&file.file.name), &bytes)?;
        }
        Ok(self.tables)
    }

    /// Whether every file is there and, with `bytes`, has the bytes that were written.
    pub(super) fn verify(&self, bytes: bool) -> Result<(), CheckpointError> {
        for file in self.tables.iter().flat_map(|table| &table.files) {
            let path = self.folder.join(&file.file.name);
            if bytes {
                drop(read_checked(&file.file, &path)?);
            } else {
                let length = fs::metadata(&path).map_err(|it| missing_or_unreadable(it, &path))?;
                check_length(&file.file, length.len(), &path)?;
            }
        }
        Ok(())
    }
}

impl SavedTable {
    /// The rows of a file, once its checksum is right.
    fn read<T: Scalar>(&self, file: &RowsFile, path: &Path) -> Result<Block<T>, CheckpointError> {
        let bytes = read_checked(&file.file, path)?;
        let tensors = SafeTensors::deserialize(&bytes);
        let tensors = tensors.map_err(|error| damaged(path, error.to_string()))?;
        let (rows, width) = (file.rows as usize, self.table.width());
        let tensor = |name: &str, dtype: Dtype, shape: &[usize]| {
            let found = tensors.tensor(name).ok();
            let found = found.filter(|it| it.dtype() == dtype && it.shape() == shape);
            let what = format!("tensor `{name}` is not {shape:?} of {dtype}");
            found.map(|it| it.data()).ok_or_else(|| damaged(path, what))
        };
        let mut block = Block {
            keys: words(tensor(KEYS, Dtype::I64, &[rows])?, i64::from_le_bytes),
            counts: words(tensor(COUNTS, Dtype::U32, &[rows])?, u32::from_le_bytes),
            steps: words(tensor(STEPS, Dtype::I64, &[rows])?, i64::from_le_bytes),
            rows: Vec::new(),
        };
        if !file.candidates {
            let slots = self.slots.iter().map(|slot| Cow::Owned(format!("{SLOT}{slot}")));
            let names = std::iter::once(Cow::Borrowed(VALUES)).chain(slots);
            let parts = names.map(|name| Ok(T::take(tensor(&name, T::DTYPE, &[rows, width])?)));
            let parts = parts.collect::<Result<Vec<Vec<T>>, CheckpointError>>()?;
            block.rows.reserve_exact(rows * width * parts.len());
            for row in 0..rows {
                for part in &parts {
                    block.rows.extend_from_slice(&part[row * width..][..width]);
                }
            }
        }
        Ok(block)
    }
}

/// The rows of a block that are wanted.
fn only<T: Scalar>(block: &Block<T>, wanted: impl Fn(i64) -> bool) -> Block<T> {
    let stride = block.rows.len().checked_div(block.len()).unwrap_or(0);
    let mut own = Block::default();
    for n in (0..block.len()).filter(|n| wanted(block.keys[*n])) {
        own.keys.push(block.keys[n]);
        own.counts.push(block.counts[n]);
        own.steps.push(block.steps[n]);
        own.rows.extend_from_slice(&block.rows[n * stride..][..stride]);
    }
    own
}

fn read_checked(file: &FileEntry, path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let unreadable = |error| missing_or_unreadable(error, path);
    // Before it is read: a file of another length is not worth the memory.
    check_length(file, fs::metadata(path).map_err(unreadable)?.len(), path)?;
    let bytes = fs::read(path).map_err(unreadable)?;
    let (found, expected) = (sha256_hex(&bytes), &file.sha256);
    if found != *expected {
        return Err(damaged(path, format!("checksum {found}, expected {expected}")));
    }
    Ok(bytes)
}

fn damaged(path: &Path, what: String) -> CheckpointError {
    CheckpointError::Damaged { path: path.to_owned(), what }
}

fn words<W, const N: usize>(bytes: &[u8], word: impl Fn([u8; N]) -> W) -> Vec<W> {
    bytes.as_chunks::<N>().0.iter().map(|it| word(*it)).collect()
}
