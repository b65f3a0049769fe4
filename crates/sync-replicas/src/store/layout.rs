//! Names and shapes of the variables, which never change while a trainer lives.
//!
//! Kept apart from the values, so that looking up a name neither locks nor holds a value.

use std::sync::Arc;

use indexmap::IndexSet;

use crate::Variables;

/// Names and shapes, in the variables' order; clones are cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    names: Arc<IndexSet<String>>,
    shapes: Arc<Vec<Vec<usize>>>,
}

impl Layout {
    /// Adds a variable at the end; false if the name is taken.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize]) -> bool {
        if self.names.contains(name) {
            return false;
        }
        Arc::make_mut(&mut self.names).insert(name.to_owned());
        Arc::make_mut(&mut self.shapes).push(shape.to_vec());
        true
    }

    /// The number of variables.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
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

    /// The shape at a place in the order.
    ///
    /// # Panics
    /// When there is no such place.
    #[must_use]
    pub fn shape(&self, index: usize) -> &[usize] {
        &self.shapes[index]
    }

    /// The place of a variable in the order.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.get_index_of(name)
    }

    /// All names, for messages.
    pub(crate) fn known(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    /// Whether variables have these names and shapes; if not, what was expected and what came.
    pub(crate) fn check<T: Clone>(&self, variables: &Variables<T>) -> Result<(), String> {
        let there = variables.layout();
        if self.names != there.names {
            return Err(format!(
                "the variables are {} here and {} there",
                self.known(),
                there.known()
            ));
        }
        for (index, shape) in self.shapes.iter().enumerate() {
            let got = there.shape(index);
            if shape != got {
                let name = self.name(index);
                return Err(format!(
                    "variable `{name}` has shape {shape:?} here and {got:?} there"
                ));
            }
        }
        Ok(())
    }
}
