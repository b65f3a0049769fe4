//! A model as a sum of terms, and the batches that it computes from.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use sync_replicas::error::VariableError;
use sync_replicas::{BoxError, Gradients, Variables};

use super::bag::Bag;
use super::batch::{Batch, KeyTable};
use super::bias::Bias;
use super::deep::Deep;
use super::factors::Factors;
use super::initial::Initializer;
use super::linear::Linear;
use super::loss;
use super::term::{Backward, Given, Term};
use crate::data::{Examples, Features, Misfit, Task, TaskKind};

/// The kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Kind {
    /// *b + x · w* of the numbers.
    Softmax,
    /// A hidden layer of rectifiers over the numbers.
    Mlp {
        /// Its units.
        hidden: usize,
    },
    /// A dense layer over the sum of an embedding of each key.
    Embedding {
        /// Numbers in an embedding.
        width: usize,
    },
    /// *b + x · w* of the numbers, and a weight of each key: logistic or linear regression.
    Linear,
    /// [`Linear`](Self::Linear), and a hidden layer over the numbers and an embedding of each
    /// column's key (Cheng and others 2016).
    WideDeep {
        /// Units of the hidden layer.
        hidden: usize,
        /// Numbers in an embedding.
        width: usize,
    },
    /// [`Linear`](Self::Linear), and a product of factors for each two of the row's numbers and
    /// columns' keys (Rendle 2010).
    Fm {
        /// Factors of each.
        width: usize,
    },
}

/// A model without anything to learn from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("model {model}: {misfit}")]
pub struct ModelError {
    /// Its name.
    pub model: &'static str,
    /// What it learns from, and what there is.
    pub misfit: Misfit,
}

impl Kind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Mlp { .. } => "mlp",
            Self::Embedding { .. } => "embedding",
            Self::Linear => "linear",
            Self::WideDeep { .. } => "wide-deep",
            Self::Fm { .. } => "fm",
        }
    }

    /// Whether it learns from columns of numbers.
    #[must_use]
    pub fn reads_numbers(self) -> bool {
        !matches!(self, Self::Embedding { .. })
    }

    /// Whether it learns from keys.
    #[must_use]
    pub fn reads_keys(self) -> bool {
        !matches!(self, Self::Softmax | Self::Mlp { .. })
    }
}

/// A model over the columns of a file.
///
/// # Examples
/// ```
/// use tabular::data::{Choices, Content, Dataset, TestRows};
/// use tabular::models::{Kind, Network};
///
/// let digits = Content::of_bytes(tabular::DIGITS, "the digits")?;
/// let choices = Choices { target: "digit".to_owned(), ..Choices::default() };
/// let digits = Dataset::new(digits, &choices, TestRows::OfTheFile)?;
/// let model = Network::new(Kind::Softmax, &digits.features)?;
/// let variables = model.variables(7)?;
/// let batch = model.batch(digits.train.reader()?.examples(0..32)?);
/// let (loss, _) = model.gradients(&variables, &batch, |table| unreachable!("{table}"))?;
/// assert!((loss - 10_f64.ln()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Debug)]
pub struct Network {
    task: Task,
    terms: Vec<Box<dyn Term>>,
    tables: Vec<KeyTable>,
    /// The number of a row's keys that are of columns; with crosses, all of them.
    num_keys: [usize; 2],
}

impl Network {
    /// A model of these columns.
    ///
    /// # Errors
    /// [`ModelError`] when there are none that it reads.
    pub fn new(kind: Kind, features: &Features) -> Result<Self, ModelError> {
        let (numbers, columns) = (features.num_numbers(), features.num_columns());
        let (keys, outputs) = (features.num_keys(), features.target.task.outputs());
        let refused = |expected: &str, got: &str| {
            Err(ModelError { model: kind.name(), misfit: Misfit::new(expected, got) })
        };
        if !kind.reads_keys() && numbers == 0 {
            return refused("a column of numbers, or the model linear, which reads keys", "none");
        }
        if !kind.reads_numbers() && keys == 0 {
            return refused("a column of keys: of text, or a categorical one", "none");
        }
        let is_fm = matches!(kind, Kind::Fm { .. });
        if is_fm && features.target.task.kind() == TaskKind::Classes {
            let got = format!("a target of {outputs} values");
            return refused("a target of two values, or of numbers", &got);
        }
        let mut terms: Vec<Box<dyn Term>> = vec![Box::new(Bias { outputs })];
        let linear = |keys: usize| Linear { numbers, has_keys: keys > 0, outputs };
        match kind {
            Kind::Softmax => terms.push(Box::new(linear(0))),
            Kind::Linear => terms.push(Box::new(linear(keys))),
            Kind::Mlp { hidden } => {
                terms.push(Box::new(Deep { numbers, columns: 0, width: 0, hidden, outputs }));
            }
            Kind::Embedding { width } => terms.push(Box::new(Bag { width, outputs })),
            Kind::WideDeep { hidden, width } => {
                terms.push(Box::new(linear(keys)));
                terms.push(Box::new(Deep { numbers, columns, width, hidden, outputs }));
            }
            Kind::Fm { width } => {
                terms.push(Box::new(linear(keys)));
                terms.push(Box::new(Factors { numbers, has_keys: columns > 0, width }));
            }
        }
        let tables = terms.iter().filter_map(|term| term.table()).collect();
        let task = features.target.task.clone();
        Ok(Self { task, terms, tables, num_keys: [columns, keys] })
    }

    /// Its variables before training; the same seed gives the same numbers.
    ///
    /// # Errors
    /// None in practice: no two terms use one name for a variable.
    pub fn variables(&self, seed: u64) -> Result<Variables<f32>, VariableError> {
        let mut initial = Initializer::new(seed);
        self.terms.iter().try_fold(Variables::new(), |all, term| term.declare(all, &mut initial))
    }

    /// What it learns.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Whether it has tables.
    #[must_use]
    pub fn has_tables(&self) -> bool {
        !self.tables.is_empty()
    }

    /// Examples with the keys that it looks up.
    #[must_use]
    pub fn batch(&self, examples: Examples) -> Batch {
        let wanted = |with_crosses| self.tables.iter().any(|it| it.with_crosses == with_crosses);
        let set = |crosses: bool| {
            let range = 0..self.num_keys[usize::from(crosses)];
            wanted(crosses).then(|| examples.key_set(range))
        };
        Batch { sets: [set(false), set(true)], tables: self.tables.clone(), examples }
    }

    /// The scores of a batch, *n* x outputs; `rows` has the rows of its keys, table by table.
    ///
    /// # Errors
    /// [`VariableError`] when the variables are another model's.
    pub fn scores<'a>(
        &'a self,
        variables: &'a Variables<f32>,
        batch: &'a Batch,
        rows: impl Fn(&str) -> Result<ArrayView2<'a, f32>, VariableError>,
    ) -> Result<Array2<f32>, BoxError> {
        Ok(self.forward(&Given { variables, batch, rows: &rows })?.0)
    }

    /// The mean loss of a batch, and its gradient for each variable and each row looked up.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn gradients<'a>(
        &'a self,
        variables: &'a Variables<f32>,
        batch: &'a Batch,
        rows: impl Fn(&str) -> Result<ArrayView2<'a, f32>, VariableError>,
    ) -> Result<(f64, Gradients<f32>), BoxError> {
        let (scores, backward) = self.forward(&Given { variables, batch, rows: &rows })?;
        let (loss, by_score) = loss::of_scores(&self.task, scores, batch.examples.targets());
        let gradients = backward
            .into_iter()
            .try_fold(Gradients::new(), |gradients, term| term(&by_score, gradients))?;
        Ok((loss, gradients))
    }

    fn forward<'a>(
        &'a self,
        given: &Given<'a, '_>,
    ) -> Result<(Array2<f32>, Vec<Backward<'a>>), BoxError> {
        let (mut scores, mut backward) = (None::<Array2<f32>>, Vec::new());
        for term in &self.terms {
            let (own, back) = term.forward(given)?;
            backward.push(back);
            scores = Some(match scores {
                None => own,
                Some(sum) => sum + own,
            });
        }
        Ok((scores.unwrap_or_default(), backward))
    }
}
