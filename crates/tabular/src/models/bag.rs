//! *(Σ embedding of each key) · output/w*.

use ndarray::Array2;
use sync_replicas::error::VariableError;
use sync_replicas::{BoxError, IndexedSlices, Variables};

use super::batch::KeyTable;
use super::initial::Initializer;
use super::term::{Backward, Given, Term};

const EMBEDDINGS: KeyTable = KeyTable { name: "embeddings", with_crosses: true };

#[derive(Debug)]
pub(super) struct Bag {
    pub(super) width: usize,
    pub(super) outputs: usize,
}

impl Term for Bag {
    fn declare(
        &self,
        variables: Variables<f32>,
        initial: &mut Initializer,
    ) -> Result<Variables<f32>, VariableError> {
        let table = initial.embeddings(EMBEDDINGS.name, self.width);
        variables.with_table(table)?.with("output/w", initial.glorot(self.width, self.outputs))
    }

    fn table(&self) -> Option<KeyTable> {
        Some(EMBEDDINGS)
    }

    fn forward<'a>(
        &'a self,
        given: &Given<'a, '_>,
    ) -> Result<(Array2<f32>, Backward<'a>), BoxError> {
        let (keys, rows) = given.rows(EMBEDDINGS)?;
        let output = given.variables.matrix("output/w")?;
        let sums = keys.sums(&rows);
        let scores = sums.dot(&output);
        let backward: Backward<'a> = Box::new(move |by_score, gradients| {
            let rows = keys.spread(&by_score.dot(&output.t()));
            let rows = IndexedSlices::by_key(keys.unique.clone(), rows)?;
            let gradients = gradients.dense("output/w", sums.t().dot(by_score));
            Ok(gradients.sparse(EMBEDDINGS.name, rows))
        });
        Ok((scores, backward))
    }
}
