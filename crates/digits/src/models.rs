//! The models: how digits are told apart, with gradients written out by hand.
//!
//! Knows arrays and examples, but no replicas, steps or optimizers. Its invariant:
//! every gradient is that of the *mean* cross-entropy over its batch, so the batch size does not
//! change the meaning of a learning rate.

mod embedding;
mod math;
mod mlp;
mod softmax;

use std::fmt;

use ndarray::Array2;
use sync_replicas::{BoxError, Gradients, VariableError, Variables};

use crate::data::Examples;
pub use embedding::Embedding;
pub use mlp::Mlp;
pub use softmax::Softmax;

/// A classifier of digits that can be trained.
pub trait Classifier: Send + Sync + fmt::Debug {
    /// Its variables before training; the same seed gives the same numbers.
    ///
    /// # Errors
    /// None in practice: no classifier names two variables alike.
    fn variables(&self, seed: u64) -> Result<Variables<f32>, VariableError>;

    /// The score of each digit for each row: *rows* x 10, the highest wins.
    ///
    /// # Errors
    /// [`VariableError`] when the variables are another model's.
    fn scores(
        &self,
        variables: &Variables<f32>,
        examples: &Examples,
        rows: &[usize],
    ) -> Result<Array2<f32>, VariableError>;

    /// The mean cross-entropy of some rows, and its gradient for each variable.
    ///
    /// # Errors
    /// As [`Classifier::scores`].
    fn gradients(
        &self,
        variables: &Variables<f32>,
        examples: &Examples,
        rows: &[usize],
    ) -> Result<(f64, Gradients<f32>), BoxError>;
}

/// The part of `examples` whose highest score is that of their digit.
///
/// # Errors
/// As [`Classifier::scores`].
pub fn accuracy(
    classifier: &dyn Classifier,
    variables: &Variables<f32>,
    examples: &Examples,
) -> Result<f64, VariableError> {
    let rows = examples.all();
    let scores = classifier.scores(variables, examples, &rows)?;
    let labels = examples.labels(&rows);
    let right = scores.outer_iter().zip(&labels).filter(|(row, label)| math::best(row) == **label);
    Ok(right.count() as f64 / labels.len().max(1) as f64)
}

#[cfg(test)]
mod tests;
