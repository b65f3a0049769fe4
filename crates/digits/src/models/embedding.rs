//! Summed embeddings: *scores = (x · table) · w + b*, with *x* a sparse CSR matrix of features.
//!
//! A batch touches only the rows of the table that its images have features for, and the table's
//! gradient holds just those.

use ndarray::{Array1, Array2};
use sprs::CsMat;
use sync_replicas::{BoxError, Gradients, IndexedSlices, VariableError, Variables};

use super::{Classifier, math};
use crate::data::{CLASSES, Examples, FEATURES};

/// An embedding of each (pixel, intensity) feature, summed over an image, then one dense layer.
#[derive(Clone, Copy, Debug)]
pub struct Embedding {
    width: usize,
}

impl Embedding {
    /// Embeddings of this many numbers.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width }
    }
}

impl Classifier for Embedding {
    fn variables(&self, seed: u64) -> Result<Variables<f32>, VariableError> {
        let mut random = math::random(seed);
        Variables::new()
            .with("table", math::glorot(&mut random, FEATURES, self.width))?
            .with("w", math::glorot(&mut random, self.width, CLASSES))?
            .with("b", Array1::zeros(CLASSES))
    }

    fn scores(
        &self,
        variables: &Variables<f32>,
        examples: &Examples,
        rows: &[usize],
    ) -> Result<Array2<f32>, VariableError> {
        let sums = &examples.features(rows) * &variables.matrix("table")?;
        Ok(sums.dot(&variables.matrix("w")?) + variables.vector("b")?)
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        examples: &Examples,
        rows: &[usize],
    ) -> Result<(f64, Gradients<f32>), BoxError> {
        let features = examples.features(rows);
        let sums = &features * &variables.matrix("table")?;
        let scores = sums.dot(&variables.matrix("w")?) + variables.vector("b")?;
        let (loss, by_score) = math::cross_entropy(scores, &examples.labels(rows));
        let (w, b) = math::dense_layer(sums.view(), by_score.view());
        let by_sum = by_score.dot(&variables.matrix("w")?.t());
        let table = table_gradient(&features, &by_sum)?;
        Ok((loss, Gradients::new().sparse("table", table).dense("w", w).dense("b", b)))
    }
}

/// *xᵀ · by_sum*, of which only the rows of features that occur are made.
fn table_gradient(
    features: &CsMat<f32>,
    by_sum: &Array2<f32>,
) -> Result<IndexedSlices<f32>, BoxError> {
    // By columns: each feature with the images that have it, in ascending order.
    let by_feature = features.to_csc();
    let present = || by_feature.outer_iterator().enumerate().filter(|(_, images)| images.nnz() > 0);
    let indices =
        present().map(|(feature, _)| i64::try_from(feature)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = Array2::zeros((indices.len(), by_sum.ncols()));
    for (mut row, (_, images)) in rows.outer_iter_mut().zip(present()) {
        for (image, &weight) in images.iter() {
            row.scaled_add(weight, &by_sum.row(image));
        }
    }
    Ok(IndexedSlices::new(indices, rows.into_dyn(), None)?)
}
