//! The values that an option chooses from, and their names.

use clap::ValueEnum;
use simulator::Mode;
use sync_replicas::options::{FailingBatch, NonFinite, SparseMean, TokenPolicy};

/// The models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelKind {
    /// Softmax regression on the pixels
    Softmax,
    /// A hidden layer with rectifiers
    Mlp,
    /// Summed embeddings of (pixel, intensity) features; sparse gradients
    Embedding,
}

/// The optimizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OptimizerKind {
    /// Plain gradient descent
    Sgd,
    /// Gradient descent with momentum, also Nesterov's
    Momentum,
    /// Adam
    Adam,
    /// Adam that touches only the rows a sparse gradient has
    LazyAdam,
    /// Adam with decoupled weight decay
    Adamw,
    /// Adagrad
    Adagrad,
    /// RMSProp, also centered
    Rmsprop,
    /// FTRL-Proximal
    Ftrl,
}

/// What happens to leftover tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenPolicyKind {
    /// Old tokens go when new ones come: only what was really late is wasted
    Discard,
    /// Old tokens stay, first in first out, as in the original system
    Keep,
}

/// How rows of sparse gradients are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SparseMeanKind {
    /// By the number of gradients that have the row, as in the original system
    PerRow,
    /// By the number of gradients
    PerGradient,
}

/// What becomes of gradients and updates that are infinite or NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NonFiniteKind {
    /// Training fails, and nothing of the step is kept
    Fail,
    /// A batch whose gradients are so is left out, and another stands in; ten in a row of one
    /// replica, or an update that is so, fail
    Skip,
    /// They are used like any others, as in the original system
    Allow,
}

/// What becomes of a batch at which three replicas have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailingBatchKind {
    /// Training fails, and names the batch
    Fail,
    /// It is left out, and another stands in
    Skip,
}

/// The element type of gradients on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WireKind {
    /// As they are computed
    F32,
    /// Half the bytes, rounded; sums are still made in full
    Bf16,
}

/// Who decides how a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeKind {
    /// The formula: all replicas start each step together
    Ideal,
    /// The engine and its tokens, as in training
    Tokens,
}

impl From<ModeKind> for Mode {
    fn from(kind: ModeKind) -> Self {
        match kind {
            ModeKind::Ideal => Self::Ideal,
            ModeKind::Tokens => Self::Tokens,
        }
    }
}

/// The name of a value on the command line.
pub fn cli_name(kind: impl ValueEnum) -> String {
    kind.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

impl From<TokenPolicyKind> for TokenPolicy {
    fn from(kind: TokenPolicyKind) -> Self {
        match kind {
            TokenPolicyKind::Discard => Self::DiscardLeftovers,
            TokenPolicyKind::Keep => Self::KeepLeftovers,
        }
    }
}

impl From<SparseMeanKind> for SparseMean {
    fn from(kind: SparseMeanKind) -> Self {
        match kind {
            SparseMeanKind::PerRow => Self::PerRow,
            SparseMeanKind::PerGradient => Self::PerGradient,
        }
    }
}

impl From<FailingBatchKind> for FailingBatch {
    fn from(kind: FailingBatchKind) -> Self {
        match kind {
            FailingBatchKind::Fail => Self::Fail,
            FailingBatchKind::Skip => Self::Skip,
        }
    }
}

impl From<NonFiniteKind> for NonFinite {
    fn from(kind: NonFiniteKind) -> Self {
        match kind {
            NonFiniteKind::Fail => Self::Fail,
            NonFiniteKind::Skip => Self::Skip,
            NonFiniteKind::Allow => Self::Allow,
        }
    }
}
