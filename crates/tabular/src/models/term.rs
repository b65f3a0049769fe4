//! A term of a model's score, and what it is given.

use std::fmt;

use ndarray::{Array2, ArrayView2};
use sync_replicas::error::VariableError;
use sync_replicas::{BoxError, Gradients, Variables};

use super::batch::{Batch, KeyTable};
use super::initial::Initializer;
use crate::data::KeySet;

/// The input of a term.
pub(super) struct Given<'a, 'r> {
    pub(super) variables: &'a Variables<f32>,
    pub(super) batch: &'a Batch,
    pub(super) rows: &'r dyn Fn(&str) -> Result<ArrayView2<'a, f32>, VariableError>,
}

impl fmt::Debug for Given<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl<'a> Given<'a, '_> {
    pub(super) fn numbers(&self) -> ArrayView2<'a, f32> {
        self.batch.examples.numbers()
    }

    /// The keys and the rows of a table.
    pub(super) fn rows(
        &self,
        table: KeyTable,
    ) -> Result<(&'a KeySet, ArrayView2<'a, f32>), VariableError> {
        let rows = (self.rows)(table.name)?;
        let set = &self.batch.sets[usize::from(table.with_crosses)];
        set.as_ref().map(|set| (set, rows)).ok_or_else(|| VariableError::NotLookedUp {
            name: table.name.to_owned(),
            known: String::new(),
        })
    }
}

/// From the gradient of the scores to those of a term's variables.
pub(super) type Backward<'a> =
    Box<dyn FnOnce(&Array2<f32>, Gradients<f32>) -> Result<Gradients<f32>, BoxError> + 'a>;

/// A term of the score.
pub(super) trait Term: Send + Sync + fmt::Debug {
    /// Adds its variables and tables.
    fn declare(
        &self,
        variables: Variables<f32>,
        initial: &mut Initializer,
    ) -> Result<Variables<f32>, VariableError>;

    /// The table that it looks keys up in.
    fn table(&self) -> Option<KeyTable> {
        None
    }

    /// Its scores, *n* x outputs, and how its gradients follow.
    fn forward<'a>(
        &'a self,
        given: &Given<'a, '_>,
    ) -> Result<(Array2<f32>, Backward<'a>), BoxError>;
}
