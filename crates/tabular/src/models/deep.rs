//! *max(z · hidden/w + hidden/b, 0) · output/w*, where *z* has the numbers of a row and, one after
//! the other, an embedding of the key of each column.

use ndarray::{Array1, Array2, Axis};
use sync_replicas::error::VariableError;
use sync_replicas::{BoxError, IndexedSlices, Variables};

use super::batch::KeyTable;
use super::initial::Initializer;
use super::term::{Backward, Given, Term};

const EMBEDDINGS: KeyTable = KeyTable { name: "embeddings", with_crosses: false };

#[derive(Debug)]
pub(super) struct Deep {
    pub(super) numbers: usize,
    /// Columns whose keys have embeddings.
    pub(super) columns: usize,
    /// Numbers in an embedding.
    pub(super) width: usize,
    pub(super) hidden: usize,
    pub(super) outputs: usize,
}

impl Term for Deep {
    fn declare(
        &self,
        mut variables: Variables<f32>,
        initial: &mut Initializer,
    ) -> Result<Variables<f32>, VariableError> {
        let inputs = self.numbers + self.columns * self.width;
        if self.columns > 0 {
            variables = variables.with_table(initial.embeddings(EMBEDDINGS.name, self.width))?;
        }
        variables
            .with("hidden/w", initial.glorot(inputs, self.hidden))?
            .with("hidden/b", Array1::zeros(self.hidden))?
            .with("output/w", initial.glorot(self.hidden, self.outputs))
    }

    fn table(&self) -> Option<KeyTable> {
        (self.columns > 0).then_some(EMBEDDINGS)
    }

    fn forward<'a>(
        &'a self,
        given: &Given<'a, '_>,
    ) -> Result<(Array2<f32>, Backward<'a>), BoxError> {
        let keys = self.table().map(|table| given.rows(table)).transpose()?;
        let (numbers, width) = (self.numbers, self.width);
        let mut inputs = Array2::zeros((given.batch.len(), numbers + self.columns * width));
        inputs.slice_axis_mut(Axis(1), (..numbers).into()).assign(&given.numbers());
        if let Some((keys, rows)) = &keys {
            for (row, mut input) in inputs.outer_iter_mut().enumerate() {
                for (column, place) in keys.row(row).iter().enumerate() {
                    let from = numbers + column * width;
                    let own = rows.row(*place as usize);
                    input.slice_axis_mut(Axis(0), (from..from + width).into()).assign(&own);
                }
            }
        }
        let sums = inputs.dot(&given.variables.matrix("hidden/w")?)
            + given.variables.vector("hidden/b")?;
        // Written so that NaN stays NaN: `max` would hide a broken model from the guard.
        let hidden = sums.mapv_into(|sum| if sum < 0.0 { 0.0 } else { sum });
        let (output, hidden_w) =
            (given.variables.matrix("output/w")?, given.variables.matrix("hidden/w")?);
        let scores = hidden.dot(&output);
        let backward: Backward<'a> = Box::new(move |by_score, gradients| {
            let mut by_hidden = by_score.dot(&output.t());
            by_hidden.zip_mut_with(&hidden, |slope, &unit| {
                if unit <= 0.0 {
                    *slope = 0.0;
                }
            });
            let mut gradients = gradients
                .dense("hidden/w", inputs.t().dot(&by_hidden))
                .dense("hidden/b", by_hidden.sum_axis(Axis(0)))
                .dense("output/w", hidden.t().dot(by_score));
            if let Some((keys, _)) = keys {
                let by_input = by_hidden.dot(&hidden_w.slice_axis(Axis(0), (numbers..).into()).t());
                let mut rows = Array2::zeros((keys.unique.len(), width));
                for (row, by_input) in by_input.outer_iter().enumerate() {
                    for (column, place) in keys.row(row).iter().enumerate() {
                        let from = column * width;
                        let mut own = rows.row_mut(*place as usize);
                        own += &by_input.slice_axis(Axis(0), (from..from + width).into());
                    }
                }
                let rows = IndexedSlices::by_key(keys.unique.clone(), rows)?;
                gradients = gradients.sparse(EMBEDDINGS.name, rows);
            }
            Ok(gradients)
        });
        Ok((scores, backward))
    }
}
