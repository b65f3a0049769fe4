//! From scores to a loss, and to predictions.

use ndarray::{Array2, ArrayViewMut1};

use crate::data::Task;

/// The mean loss of some rows' scores (*n* x outputs), and its derivative by the scores.
///
/// Log loss of two or more values; for numbers the square of the error in deviations.
pub(super) fn of_scores(
    task: &Task,
    mut scores: Array2<f32>,
    targets: &[f32],
) -> (f64, Array2<f32>) {
    let n = targets.len().max(1) as f32;
    let mut loss = 0.0;
    for (mut row, &target) in scores.outer_iter_mut().zip(targets) {
        match task {
            Task::Binary { .. } => {
                let score = row[0];
                // log(1 + exp(score)) − target · score, of which nothing overflows.
                loss += f64::from(score.max(0.0) - target * score + (-score.abs()).exp().ln_1p());
                row[0] = sigmoid(score) - target;
            }
            Task::Classes { .. } => {
                let label = target as usize;
                let highest = row.fold(f32::NEG_INFINITY, |highest, &score| highest.max(score));
                // log Σ exp(score − highest): a sure mistake has a finite loss.
                let own = row[label] - highest;
                loss += f64::from(softmax(&mut row, highest).ln() - own);
                row[label] -= 1.0;
            }
            Task::Regression { .. } => {
                let error = row[0] - target;
                loss += f64::from(error * error);
                row[0] = 2.0 * error;
            }
        }
        row /= n;
    }
    (loss / f64::from(n), scores)
}

/// From scores to what they predict: the probability of the second of two values, that of each of
/// several, or a number.
#[must_use]
pub fn predictions(task: &Task, mut scores: Array2<f32>) -> Array2<f64> {
    match task {
        Task::Binary { .. } => scores.mapv_inplace(sigmoid),
        Task::Classes { .. } => scores.outer_iter_mut().for_each(|mut row| {
            let highest = row.fold(f32::NEG_INFINITY, |highest, &score| highest.max(score));
            softmax(&mut row, highest);
        }),
        // Far from zero a number of 32 bits would be a coarse one.
        Task::Regression { mean, deviation } => {
            return scores.mapv(|score| mean + deviation * f64::from(score));
        }
    }
    scores.mapv(f64::from)
}

fn sigmoid(score: f32) -> f32 {
    1.0 / (1.0 + (-score).exp())
}

/// *softmax* in place; gives Σ exp(score − highest).
fn softmax(row: &mut ArrayViewMut1<'_, f32>, highest: f32) -> f32 {
    row.mapv_inplace(|score| (score - highest).exp());
    let sum = row.sum();
    *row /= sum;
    sum
}
