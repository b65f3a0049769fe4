//! The initial values of a model's variables.
//!
//! Knows shapes, and not what is computed with them. Invariant: one seed and the same calls give
//! the same values.

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sync_replicas::Table;

/// The initial deviation of the numbers in an embedding: rows that are seldom seen keep their
/// initial values, and at 0.1 that costs a part in a hundred of the digits.
pub(super) const EMBEDDED: f64 = 0.01;

/// Draws initial values: one seed decides all of them.
pub(super) struct Initializer {
    random: ChaCha8Rng,
    seed: u64,
}

impl Initializer {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), seed }
    }

    /// A table of embeddings, small at their birth.
    pub(super) fn embeddings(&self, name: &str, width: usize) -> Table {
        Table::new(name, width).normal(0.0, EMBEDDED).seed(self.seed)
    }

    /// A *rows* x *columns* matrix, uniform in ± √(6 / (*rows* + *columns*)), which keeps the size
    /// of signals equal from layer to layer (Glorot and Bengio, 2010).
    pub(super) fn glorot(&mut self, rows: usize, columns: usize) -> Array2<f32> {
        let limit = (6.0 / (rows + columns) as f32).sqrt();
        Array2::from_shape_simple_fn((rows, columns), || self.random.random_range(-limit..limit))
    }

    /// A matrix of normal numbers around 0 (Box and Muller 1958).
    pub(super) fn normal(&mut self, rows: usize, columns: usize, deviation: f32) -> Array2<f32> {
        Array2::from_shape_simple_fn((rows, columns), || {
            // Above 0, whose logarithm would be infinite.
            let (a, b): (f32, f32) = (1.0 - self.random.random::<f32>(), self.random.random());
            deviation * (-2.0 * a.ln()).sqrt() * (std::f32::consts::TAU * b).cos()
        })
    }
}
