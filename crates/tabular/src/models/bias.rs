//! *b*: the score of a row of which nothing is known.

use ndarray::{Array1, Array2, Axis};
use sync_replicas::error::VariableError;
use sync_replicas::{BoxError, Variables};

use super::initial::Initializer;
use super::term::{Backward, Given, Term};

#[derive(Debug)]
pub(super) struct Bias {
    pub(super) outputs: usize,
}

impl Term for Bias {
    fn declare(
        &self,
        variables: Variables<f32>,
        _: &mut Initializer,
    ) -> Result<Variables<f32>, VariableError> {
        variables.with("b", Array1::zeros(self.outputs))
    }

    fn forward<'a>(
        &'a self,
        given: &Given<'a, '_>,
    ) -> Result<(Array2<f32>, Backward<'a>), BoxError> {
        let bias = given.variables.vector("b")?;
        let shape = (given.batch.len(), self.outputs);
        let scores = bias.broadcast(shape).ok_or("b has another shape")?.to_owned();
        let backward: Backward<'a> =
            Box::new(|by_score, gradients| Ok(gradients.dense("b", by_score.sum_axis(Axis(0)))));
        Ok((scores, backward))
    }
}
