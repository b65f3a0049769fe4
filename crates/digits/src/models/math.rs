//! What the models share: the loss, its derivative, and random starting values.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator of a model's starting values.
pub(super) fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A *rows* x *columns* matrix, uniform in ± √(6 / (*rows* + *columns*)), which keeps the size of
/// signals equal from layer to layer (Glorot and Bengio, 2010).
pub(super) fn glorot(random: &mut ChaCha8Rng, rows: usize, columns: usize) -> Array2<f32> {
    let limit = (6.0 / (rows + columns) as f32).sqrt();
    Array2::from_shape_simple_fn((rows, columns), || random.random_range(-limit..limit))
}

/// The mean cross-entropy of `scores` (*n* x *classes*), and its derivative by the scores:
/// *(softmax(scores) − one-hot(labels)) / n*.
pub(super) fn cross_entropy(mut scores: Array2<f32>, labels: &[usize]) -> (f64, Array2<f32>) {
    let n = labels.len().max(1) as f32;
    let mut loss = 0.0;
    for (mut row, &label) in scores.outer_iter_mut().zip(labels) {
        let highest = row.fold(f32::NEG_INFINITY, |highest, &score| highest.max(score));
        // log Σ exp(score − highest): nothing overflows, and a sure mistake has a finite loss.
        let own = row[label] - highest;
        row.mapv_inplace(|score| (score - highest).exp());
        let sum = row.sum();
        loss += f64::from(sum.ln() - own);
        row /= sum;
        row[label] -= 1.0;
        row /= n;
    }
    (loss / f64::from(n), scores)
}

/// The gradients of a dense layer *x · w + b* by its weights and its bias, from the derivative by
/// its output.
pub(super) fn dense_layer(
    input: ArrayView2<'_, f32>,
    output: ArrayView2<'_, f32>,
) -> (Array2<f32>, Array1<f32>) {
    (input.t().dot(&output), output.sum_axis(Axis(0)))
}

/// The position of the highest score, the first of equal ones.
pub(super) fn best(scores: &ArrayView1<'_, f32>) -> usize {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best
}
