//! The values that an option chooses from, and their names.

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use cluster::NumberFormat;
use cluster::spec::Role;
use simulator::Mode;
use sync_replicas::options::{FailingBatch, NonFinite, SparseMean, TokenPolicy};
use tabular::data::TaskKind;

/// The models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelKind {
    /// Softmax regression on the columns of numbers
    Softmax,
    /// A hidden layer of rectifiers over the columns of numbers
    Mlp,
    /// Summed embeddings of all columns' values, rows of a table
    Embedding,
    /// Logistic or linear regression on numbers and on keys, whose weights are rows of a table
    Linear,
    /// The same and a hidden layer over numbers and embeddings
    WideDeep,
    /// The same as linear and a factorization machine
    Fm,
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

/// The name of a value on the command line.
pub fn cli_name(kind: impl ValueEnum) -> String {
    kind.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Values from other crates, as an option lists them: name, value, help.
#[derive(Debug)]
pub struct Choices<T: 'static>(&'static [(&'static str, T, &'static str)]);

impl<T: Copy + PartialEq + Send + Sync + 'static> Choices<T> {
    /// Reads a name.
    pub(super) fn parser(&self) -> impl TypedValueParser<Value = T> + use<T> {
        let choices = self.0;
        let names = choices.iter().map(|(name, _, help)| PossibleValue::new(*name).help(*help));
        PossibleValuesParser::new(names).try_map(|given| {
            let found = choices.iter().find(|(name, ..)| *name == given);
            found.map(|(_, value, _)| *value).ok_or("expected another value")
        })
    }

    /// The name of a value.
    #[must_use]
    pub fn name(&self, value: T) -> &'static str {
        self.0.iter().find(|(_, it, _)| *it == value).map_or("", |(name, ..)| name)
    }
}

/// What happens to leftover tokens.
pub static TOKEN_POLICIES: Choices<TokenPolicy> = Choices(&[
    (
        "discard",
        TokenPolicy::DiscardLeftovers,
        "Old tokens go when new ones come: only what was really late is wasted",
    ),
    (
        "keep",
        TokenPolicy::KeepLeftovers,
        "Old tokens stay, first in first out, as in the original system",
    ),
]);

/// How rows of sparse gradients are averaged.
pub static SPARSE_MEANS: Choices<SparseMean> = Choices(&[
    (
        "per-row",
        SparseMean::PerRow,
        "By the number of gradients that have the row, as in the original system",
    ),
    ("per-gradient", SparseMean::PerGradient, "By the number of gradients"),
]);

/// What becomes of gradients and updates that are infinite or NaN.
pub static NON_FINITES: Choices<NonFinite> = Choices(&[
    ("fail", NonFinite::Fail, "Training fails, and nothing of the step is kept"),
    (
        "skip",
        NonFinite::Skip,
        "A batch whose gradients are so is left out, and another stands in; ten in a row of one \
         replica, or an update that is so, fail",
    ),
    ("allow", NonFinite::Allow, "They are used like any others, as in the original system"),
]);

/// What becomes of a batch at which three replicas have failed.
pub static FAILING_BATCHES: Choices<FailingBatch> = Choices(&[
    ("fail", FailingBatch::Fail, "Training fails, and names the batch"),
    ("skip", FailingBatch::Skip, "It is left out, and another stands in"),
]);

/// The element type of gradients on the wire.
pub static WIRES: Choices<NumberFormat> = Choices(&[
    ("f32", NumberFormat::Native, "As they are computed"),
    ("bf16", NumberFormat::Bf16, "Half the bytes, rounded; sums are still made in full"),
]);

/// What decides how a step goes.
pub static MODES: Choices<Mode> = Choices(&[
    ("ideal", Mode::Ideal, "The formula: all replicas start each step together"),
    ("tokens", Mode::Tokens, "The engine and its tokens, as in training"),
]);

/// What a process of a cluster is.
pub(crate) static ROLES: Choices<Role> = Choices(&[
    ("ps", Role::Ps, "Holds a share of the variables; the first one coordinates"),
    ("worker", Role::Worker, "Computes; the first one is the chief"),
    ("evaluator", Role::Evaluator, "Tests every checkpoint"),
]);

/// What to learn.
pub static TASKS: Choices<TaskKind> = Choices(&[
    ("binary", TaskKind::Binary, "The probability of the second of two values"),
    ("classes", TaskKind::Classes, "The probability of each of several values"),
    ("regression", TaskKind::Regression, "A number"),
]);
