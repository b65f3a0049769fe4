//! A factorization machine's second order: *½ Σ (s² − Σ v²)* with *s = Σ v*, over the factors *v*
//! of the keys of a row's columns and those of its numbers times the numbers (Rendle 2010).
//!
//! Crosses have none: the factors should find out what crosses state, and with both a model learns
//! by heart.

use ndarray::{Array2, Axis};
use sync_replicas::error::VariableError;
use sync_replicas::{BoxError, IndexedSlices, Variables};

use super::batch::KeyTable;
use super::initial::{EMBEDDED, Initializer};
use super::term::{Backward, Given, Term};

const FACTORS: KeyTable = KeyTable { name: "factors", with_crosses: false };

/// Those of numbers: numbers x width.
const OF_NUMBERS: &str = "factors of numbers";

#[derive(Debug)]
pub(super) struct Factors {
    pub(super) numbers: usize,
    pub(super) has_keys: bool,
    pub(super) width: usize,
}

impl Term for Factors {
    fn declare(
        &self,
        mut variables: Variables<f32>,
        initial: &mut Initializer,
    ) -> Result<Variables<f32>, VariableError> {
        if self.numbers > 0 {
            let first = initial.normal(self.numbers, self.width, EMBEDDED as f32);
            variables = variables.with(OF_NUMBERS, first)?;
        }
        if self.has_keys {
            variables = variables.with_table(initial.embeddings(FACTORS.name, self.width))?;
        }
        Ok(variables)
    }

    fn table(&self) -> Option<KeyTable> {
        self.has_keys.then_some(FACTORS)
    }

    fn forward<'a>(
        &'a self,
        given: &Given<'a, '_>,
    ) -> Result<(Array2<f32>, Backward<'a>), BoxError> {
        let shape = (given.batch.len(), self.width);
        let (mut sums, mut squares) = (Array2::<f32>::zeros(shape), Array2::<f32>::zeros(shape));
        let numbers = match self.numbers {
            0 => None,
            _ => Some((given.numbers(), given.variables.matrix(OF_NUMBERS)?)),
        };
        if let Some((numbers, factors)) = &numbers {
            sums += &numbers.dot(factors);
            squares += &numbers.mapv(|x| x * x).dot(&factors.mapv(|v| v * v));
        }
        let keys = self.has_keys.then(|| given.rows(FACTORS)).transpose()?;
        if let Some((keys, rows)) = &keys {
            sums += &keys.sums(rows);
            squares += &keys.sums(&rows.mapv(|v| v * v).view());
        }
        let scores = (sums.mapv(|s| s * s) - squares).sum_axis(Axis(1)) * 0.5;
        let backward: Backward<'a> = Box::new(move |by_score, mut gradients| {
            // ∂/∂v = x (s − x v)
            let by_sum = &sums * by_score;
            if let Some((numbers, factors)) = numbers {
                let squared = numbers.mapv(|x| x * x).t().dot(by_score);
                let own = numbers.t().dot(&by_sum) - &squared * &factors;
                gradients = gradients.dense(OF_NUMBERS, own);
            }
            if let Some((keys, rows)) = keys {
                let own = keys.spread(&by_sum) - &keys.spread(by_score) * &rows;
                let own = IndexedSlices::by_key(keys.unique.clone(), own)?;
                gradients = gradients.sparse(FACTORS.name, own);
            }
            Ok(gradients)
        });
        Ok((scores.insert_axis(Axis(1)), backward))
    }
}
