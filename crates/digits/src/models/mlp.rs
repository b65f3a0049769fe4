//! A perceptron with one hidden layer: *scores = max(x · hidden/w + hidden/b, 0) · w + b*.

use ndarray::{Array1, Array2, ArrayView2};
use sync_replicas::{BoxError, Gradients, VariableError, Variables};

use super::{Classifier, math};
use crate::data::{CLASSES, Examples, PIXELS};

/// Two dense layers with a rectifier between them.
#[derive(Clone, Copy, Debug)]
pub struct Mlp {
    hidden: usize,
}

impl Mlp {
    /// A hidden layer of this many units.
    #[must_use]
    pub fn new(hidden: usize) -> Self {
        Self { hidden }
    }
}

impl Classifier for Mlp {
    fn variables(&self, seed: u64) -> Result<Variables<f32>, VariableError> {
        let mut random = math::random(seed);
        Variables::new()
            .with("hidden/w", math::glorot(&mut random, PIXELS, self.hidden))?
            .with("hidden/b", Array1::zeros(self.hidden))?
            .with("w", math::glorot(&mut random, self.hidden, CLASSES))?
            .with("b", Array1::zeros(CLASSES))
    }

    fn scores(
        &self,
        variables: &Variables<f32>,
        examples: &Examples,
        rows: &[usize],
    ) -> Result<Array2<f32>, VariableError> {
        let hidden = hidden(variables, examples.pixels(rows).view())?;
        output(variables, hidden.view())
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        examples: &Examples,
        rows: &[usize],
    ) -> Result<(f64, Gradients<f32>), BoxError> {
        let pixels = examples.pixels(rows);
        let hidden = hidden(variables, pixels.view())?;
        let scores = output(variables, hidden.view())?;
        let (loss, by_score) = math::cross_entropy(scores, &examples.labels(rows));
        let (w, b) = math::dense_layer(hidden.view(), by_score.view());

        let mut by_hidden = by_score.dot(&variables.matrix("w")?.t());
        by_hidden.zip_mut_with(&hidden, |slope, &unit| {
            if unit <= 0.0 {
                *slope = 0.0;
            }
        });
        let (hidden_w, hidden_b) = math::dense_layer(pixels.view(), by_hidden.view());
        let gradients = Gradients::new()
            .dense("hidden/w", hidden_w)
            .dense("hidden/b", hidden_b)
            .dense("w", w)
            .dense("b", b);
        Ok((loss, gradients))
    }
}

fn hidden(
    variables: &Variables<f32>,
    pixels: ArrayView2<'_, f32>,
) -> Result<Array2<f32>, VariableError> {
    let sums = pixels.dot(&variables.matrix("hidden/w")?) + variables.vector("hidden/b")?;
    // Written so that NaN stays NaN: `max` would hide a broken model from the guard.
    Ok(sums.mapv_into(|sum| if sum < 0.0 { 0.0 } else { sum }))
}

fn output(
    variables: &Variables<f32>,
    hidden: ArrayView2<'_, f32>,
) -> Result<Array2<f32>, VariableError> {
    Ok(hidden.dot(&variables.matrix("w")?) + variables.vector("b")?)
}
