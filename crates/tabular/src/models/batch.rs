//! Examples as a model reads them, with the keys that its tables need.

use sync_replicas::Keys;

use crate::data::{Examples, KeySet};

/// Examples with the keys that a model looks up.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(super) examples: Examples,
    /// The requested keys: of columns alone, or with crosses.
    pub(super) sets: [Option<KeySet>; 2],
    pub(super) tables: Vec<KeyTable>,
}

impl Batch {
    /// What to look up, in the order in which models name their tables.
    #[must_use]
    pub fn keys(&self) -> Keys {
        self.tables.iter().fold(Keys::new(), |keys, table| {
            let set = self.sets[usize::from(table.with_crosses)].as_ref();
            keys.of(table.name, set.map(|set| set.unique.clone()).unwrap_or_default())
        })
    }

    /// How many examples it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// The examples.
    #[must_use]
    pub fn examples(&self) -> &Examples {
        &self.examples
    }
}

/// A table, and which keys have rows in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyTable {
    pub(super) name: &'static str,
    pub(super) with_crosses: bool,
}
