//! Softmax regression: *scores = x · w + b*.

use ndarray::{Array1, Array2, ArrayView2};
use sync_replicas::{BoxError, Gradients, VariableError, Variables};

use super::{Classifier, math};
use crate::data::{CLASSES, Examples, PIXELS};

/// One dense layer from pixels to digits: `w` of 64 x 10 and `b` of 10, both zero at first.
#[derive(Clone, Copy, Debug)]
pub struct Softmax;

impl Classifier for Softmax {
    fn variables(&self, _seed: u64) -> Result<Variables<f32>, VariableError> {
        Variables::new()
            .with("w", Array2::zeros((PIXELS, CLASSES)))?
            .with("b", Array1::zeros(CLASSES))
    }

    fn scores(
        &self,
        variables: &Variables<f32>,
        examples: &Examples,
        rows: &[usize],
    ) -> Result<Array2<f32>, VariableError> {
        forward(variables, examples.pixels(rows).view())
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        examples: &Examples,
        rows: &[usize],
    ) -> Result<(f64, Gradients<f32>), BoxError> {
        let pixels = examples.pixels(rows);
        let scores = forward(variables, pixels.view())?;
        let (loss, by_score) = math::cross_entropy(scores, &examples.labels(rows));
        let (w, b) = math::dense_layer(pixels.view(), by_score.view());
        Ok((loss, Gradients::new().dense("w", w).dense("b", b)))
    }
}

fn forward(
    variables: &Variables<f32>,
    pixels: ArrayView2<'_, f32>,
) -> Result<Array2<f32>, VariableError> {
    Ok(pixels.dot(&variables.matrix("w")?) + variables.vector("b")?)
}
