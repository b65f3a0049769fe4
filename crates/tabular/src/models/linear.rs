//! *x · w* of the numbers, and the sum of a weight of each key.

use ndarray::Array2;
use sync_replicas::error::VariableError;
use sync_replicas::{BoxError, IndexedSlices, Table, Variables};

use super::batch::KeyTable;
use super::initial::Initializer;
use super::term::{Backward, Given, Term};

const WEIGHTS: KeyTable = KeyTable { name: "weights", with_crosses: true };

#[derive(Debug)]
pub(super) struct Linear {
    pub(super) numbers: usize,
    pub(super) has_keys: bool,
    pub(super) outputs: usize,
}

impl Term for Linear {
    fn declare(
        &self,
        mut variables: Variables<f32>,
        _: &mut Initializer,
    ) -> Result<Variables<f32>, VariableError> {
        if self.numbers > 0 {
            variables = variables.with("w", Array2::zeros((self.numbers, self.outputs)))?;
        }
        if self.has_keys {
            // A key that was never learned counts nothing.
            let table = Table::new(WEIGHTS.name, self.outputs).constant(0.0);
            variables = variables.with_table(table)?;
        }
        Ok(variables)
    }

    fn table(&self) -> Option<KeyTable> {
        self.has_keys.then_some(WEIGHTS)
    }

    fn forward<'a>(
        &'a self,
        given: &Given<'a, '_>,
    ) -> Result<(Array2<f32>, Backward<'a>), BoxError> {
        let mut scores = Array2::zeros((given.batch.len(), self.outputs));
        let numbers = (self.numbers > 0).then(|| given.numbers());
        if let Some(numbers) = &numbers {
            scores += &numbers.dot(&given.variables.matrix("w")?);
        }
        let keys = self.has_keys.then(|| given.rows(WEIGHTS)).transpose()?;
        if let Some((keys, rows)) = &keys {
            scores += &keys.sums(rows);
        }
        let backward: Backward<'a> = Box::new(move |by_score, mut gradients| {
            if let Some(numbers) = numbers {
                gradients = gradients.dense("w", numbers.t().dot(by_score));
            }
            if let Some((keys, _)) = keys {
                let rows = IndexedSlices::by_key(keys.unique.clone(), keys.spread(by_score))?;
                gradients = gradients.sparse(WEIGHTS.name, rows);
            }
            Ok(gradients)
        });
        Ok((scores, backward))
    }
}
