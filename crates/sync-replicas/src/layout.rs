//! Names, shapes and tables of the variables, which never change while a trainer lives.
//!
//! Kept apart from the values, so that looking up a name neither locks nor holds a value. Tables
//! come after all arrays, whatever order they were added in.

use std::sync::Arc;

use embedding_table::Table;
use indexmap::IndexSet;

use crate::VariableError;

/// Names, with the shapes of arrays and the declarations of tables, in order; clones are cheap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    names: Arc<IndexSet<String>>,
    pub(crate) shapes: Arc<Vec<Vec<usize>>>,
    tables: Arc<Vec<Table>>,
}

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VariableKind<'a> {
    /// An array of this shape.
    Array(&'a [usize]),
    /// A table, by its number among the tables.
    Table(usize, &'a Table),
}

impl Layout {
    /// Adds an array after the others; false if the name is taken.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize]) -> bool {
        if self.names.contains(name) {
            return false;
        }
        Arc::make_mut(&mut self.names).shift_insert(self.shapes.len(), name.to_owned());
        Arc::make_mut(&mut self.shapes).push(shape.to_vec());
        true
    }

    /// Adds a table after the others; false if the name is taken.
    pub(crate) fn add_table(&mut self, table: Table) -> bool {
        if self.names.contains(table.name()) {
            return false;
        }
        Arc::make_mut(&mut self.names).insert(table.name().to_owned());
        Arc::make_mut(&mut self.tables).push(table);
        true
    }

    /// The number of variables, tables included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shapes.len() + self.tables.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of those that are arrays, which come first.
    #[must_use]
    pub fn arrays(&self) -> usize {
        self.shapes.len()
    }

    /// The tables, in order.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The name at a place in the order.
    ///
    /// # Panics
    /// When there is no such place.
    #[must_use]
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// What is at a place in the order.
    ///
    /// # Panics
    /// When there is no such place.
    #[must_use]
    pub fn kind(&self, index: usize) -> VariableKind<'_> {
        match index.checked_sub(self.shapes.len()) {
            None => VariableKind::Array(&self.shapes[index]),
            Some(table) => VariableKind::Table(table, &self.tables[table]),
        }
    }

    /// The shape at a place in the order; `None` for a table.
    ///
    /// # Panics
    /// When there is no such place.
    #[must_use]
    pub fn shape(&self, index: usize) -> Option<&[usize]> {
        match self.kind(index) {
            VariableKind::Array(shape) => Some(shape),
            VariableKind::Table(..) => None,
        }
    }

    /// The place of a variable in the order.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.get_index_of(name)
    }

    /// The number of a table among the tables.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<usize> {
        self.index_of(name)?.checked_sub(self.shapes.len())
    }

    /// The number of a table among the tables.
    ///
    /// # Errors
    /// [`VariableError`] says what there is instead.
    pub fn find_table(&self, name: &str) -> Result<usize, VariableError> {
        self.table(name).ok_or_else(|| match self.index_of(name) {
            Some(_) => {
                let known: Vec<&str> = self.tables().iter().map(Table::name).collect();
                VariableError::NoTable { name: name.to_owned(), known: known.join(", ") }
            }
            None => VariableError::Unknown { name: name.to_owned(), known: self.known() },
        })
    }

    /// All names, for messages.
    pub(crate) fn known(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }
}
