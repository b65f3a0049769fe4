//! The tables of a training, or one parameter server's rows of them: looked up by many, updated by
//! one.
//!
//! All tables are of one step. Invariant: a lookup gets rows of exactly the step that it names, or
//! is told that they are of another; an update waits for copies in memory only, never for a reader
//! (P-17).

use accum_core::GlobalStep;
use embedding_table::{Block, Change, Rows, Saving, StoreError, Table, TableError, TableStore};
use engine::Generation;
use optim::OptimizerState;

use super::error::TableSetupError;
use crate::Scalar;
use crate::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard, read, write};

/// A life of the shared state, and a step of it.
pub type Version = (Generation, GlobalStep);

/// The tables, in the order in which they were declared.
#[derive(Debug)]
pub struct Tables<T> {
    declared: Vec<Table>,
    /// The names of each row's slots, and what they start with.
    slots: Vec<(&'static str, T)>,
    state: RwLock<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// The step of the rows; none while an update is under way, or after one that failed.
    version: Option<Version>,
    stores: Vec<TableStore<T>>,
}

/// Rows on their way to a checkpoint, as they were when the save began, while training goes on.
#[derive(Debug)]
pub struct TableSaves<T: Scalar> {
    tables: Arc<Tables<T>>,
    /// By table; taken once it is over.
    savings: Vec<Option<Saving>>,
}

/// How many rows are copied at a time: lookups and updates wait for no more.
const PIECE: usize = 1024;

impl<T: Scalar> Tables<T> {
    /// Tables without rows, which this optimizer updates.
    ///
    /// # Errors
    /// [`TableSetupError`]: a table that is invalid, or that the optimizer cannot update.
    pub fn new(declared: &[Table], optimizer: &OptimizerState<T>) -> Result<Self, TableSetupError> {
        declared.iter().try_for_each(|table| optimizer.check_table(table.name()))?;
        let slots: Vec<_> = optimizer.slot_names().zip(optimizer.initial_slots()).collect();
        let version = Some((Generation::default(), GlobalStep::default()));
        let state = RwLock::new(State { version, stores: Vec::new() });
        let tables = Self { declared: declared.to_vec(), slots, state };
        let stores = tables.empty_stores()?;
        tables.replace(stores);
        Ok(tables)
    }

    /// The declarations.
    #[must_use]
    pub fn declared(&self) -> &[Table] {
        &self.declared
    }

    /// Writes the values of these keys' rows, of a table by its number, as they are at a step.
    ///
    /// # Errors
    /// The step that the rows are of, if it is another: none while an update is made.
    ///
    /// # Panics
    /// When there is no such table, or not room for exactly these rows.
    pub fn lookup(
        &self,
        at: Version,
        table: usize,
        keys: &[i64],
        rows: &mut [T],
    ) -> Result<(), Option<Version>> {
        let state = self.read();
        if state.version != Some(at) {
            return Err(state.version);
        }
        state.stores[table].lookup_into(keys, rows);
        Ok(())
    }

    /// What has become of these keys' rows since the steps in which the caller looked them up, as
    /// they are at a step; the values of those that changed are added to `rows`.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    ///
    /// # Panics
    /// When there is no such table, or not one earlier step a key.
    pub fn changes(
        &self,
        at: Version,
        table: usize,
        keys: &[i64],
        since: &[Option<i64>],
        rows: &mut Vec<T>,
    ) -> Result<Vec<Change>, Option<Version>> {
        let state = self.read();
        if state.version != Some(at) {
            return Err(state.version);
        }
        Ok(state.stores[table].changes(keys, since, rows))
    }

    /// The same as they are now, whichever step that is.
    ///
    /// # Panics
    /// As [`lookup`](Self::lookup).
    pub fn lookup_newest(&self, table: usize, keys: &[i64], rows: &mut [T]) {
        self.read().stores[table].lookup_into(keys, rows);
    }

    /// How many rows a table has.
    ///
    /// # Panics
    /// When there is no such table.
    #[must_use]
    pub fn rows(&self, table: usize) -> usize {
        self.read().stores[table].len()
    }

    /// The rows are of this version from now on.
    pub fn begin(&self, version: Version) {
        self.write().version = Some(version);
    }

    /// Replaces the present rows by rows taken over from elsewhere.
    ///
    /// # Panics
    /// When these are other tables.
    pub fn replace(&self, stores: Vec<TableStore<T>>) {
        let declared = stores.iter().map(TableStore::table);
        assert!(declared.eq(&self.declared), "tables keep their declarations");
        let mut state = self.write();
        // Of no version, until it is said of which.
        *state = State { version: None, stores };
    }

    /// Removes all rows.
    ///
    /// # Errors
    /// [`TableError`], which the declarations would have shown before.
    pub fn clear(&self) -> Result<(), TableError> {
        self.replace(self.empty_stores()?);
        Ok(())
    }

    /// The names of the slots that each row has beside its values.
    pub(crate) fn slots(&self) -> Vec<&str> {
        self.slots.iter().map(|(name, _)| *name).collect()
    }

    pub(crate) fn empty_stores(&self) -> Result<Vec<TableStore<T>>, TableError> {
        let slots: Vec<T> = self.slots.iter().map(|(_, initial)| *initial).collect();
        self.declared.iter().map(|table| TableStore::new(table.clone(), &slots)).collect()
    }

    /// Updates the rows of a table, in an update that makes this step.
    pub(super) fn update(
        &self,
        table: usize,
        made: GlobalStep,
        rows: &Rows<'_, T>,
        optimizer: &mut OptimizerState<T>,
    ) -> Result<(), StoreError> {
        let mut update = optimizer.row_update(self.declared[table].name());
        let mut state = self.write();
        state.version = None;
        state.stores[table].apply(made.get(), rows, |row, gradient| update.apply(row, gradient))
    }

    /// All tables of a step are updated.
    pub(super) fn finish_step(&self, version: Version) {
        if self.declared.is_empty() {
            return;
        }
        let mut state = self.write();
        state.stores.iter_mut().for_each(|store| store.finish_step(version.1.get()));
        state.version = Some(version);
    }

    /// Begins to save all tables as they are now.
    #[must_use]
    pub fn begin_save(self: &Arc<Self>) -> TableSaves<T> {
        let mut state = self.write();
        let savings = state.stores.iter_mut().map(|store| Some(store.begin_save())).collect();
        TableSaves { savings, tables: Arc::clone(self) }
    }

    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        read(&self.state)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        write(&self.state)
    }
}

impl<T: Scalar> TableSaves<T> {
    /// The declarations.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables.declared
    }

    /// The names of each row's slots.
    pub(crate) fn slots(&self) -> Vec<&'static str> {
        self.tables.slots.iter().map(|(name, _)| *name).collect()
    }

    /// Sorts a table's rows, which takes long and holds up no caller.
    pub(crate) fn sort(&mut self, table: usize) {
        if let Some(Some(saving)) = self.savings.get_mut(table) {
            saving.sort();
        }
    }

    /// The next rows of a table, at most so many; none once all were given.
    ///
    /// # Errors
    /// [`StoreError::OtherSave`]: others took the tables' place meanwhile.
    pub(crate) fn next(&mut self, table: usize, most: usize) -> Result<Block<T>, StoreError> {
        let mut block = Block::default();
        let Some(Some(saving)) = self.savings.get_mut(table) else { return Ok(block) };
        while block.len() < most {
            let piece = PIECE.min(most - block.len());
            let more = self.tables.write().stores[table].copy_rows(saving, piece, &mut block)?;
            if !more {
                break;
            }
        }
        Ok(block)
    }

    /// The keys of a table that are counted and have no row; ends the table's save.
    pub(crate) fn finish(&mut self, table: usize) -> Block<T> {
        let Some(saving) = self.savings.get_mut(table).and_then(Option::take) else {
            return Block::default();
        };
        let candidates = saving.candidates();
        self.tables.write().stores[table].end_save(saving);
        candidates
    }
}

impl<T: Scalar> Drop for TableSaves<T> {
    fn drop(&mut self) {
        (0..self.savings.len()).for_each(|table| drop(self.finish(table)));
    }
}
