//! Names and shapes of the variables, which never change while a trainer lives.
//!
//! Kept apart from the values, so that looking up a name neither locks nor holds a value.

use std::sync::Arc;

use indexmap::IndexSet;

use crate::Variables;

/// Names and shapes, in the variables' order.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    names: Arc<IndexSet<String>>,
    shapes: Vec<Vec<usize>>,
}

impl Layout {
    pub(crate) fn new(names: Arc<IndexSet<String>>, shapes: Vec<Vec<usize>>) -> Self {
        Self { names, shapes }
    }

    pub(crate) fn len(&self) -> usize {
        self.shapes.len()
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    pub(crate) fn shape(&self, index: usize) -> &[usize] {
        &self.shapes[index]
    }

    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.names.get_index_of(name)
    }

    /// All names, for messages.
    pub(crate) fn known(&self) -> String {
        self.names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
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
