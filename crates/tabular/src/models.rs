//! Models over the columns of a file, with gradients written out by hand.
//!
//! A model's score is a sum of terms; each term knows how its variables' gradients follow from that
//! of the score. Knows no replicas, steps or optimizers. Invariant: every gradient is
//! that of the *mean* loss over a batch, so that the batch size does not change the meaning of a
//! learning rate.

mod bag;
mod batch;
mod bias;
mod deep;
mod factors;
mod initial;
mod linear;
mod loss;
mod network;
mod term;

#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use loss::predictions;
pub use network::{Kind, ModelError, Network};
