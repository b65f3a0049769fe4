//! What the trainer trains: a classifier over the training examples, with stragglers and clipping.
//!
//! Starts nothing and holds no variables.

use std::fmt;

use digits::data::{Batches, Examples};
use digits::models::Classifier;
use optim::{clip_by_global_norm, clip_by_norm, clip_by_value};
use sync_replicas::{BatchSource, BoxError, Computed, Gradients, Model, Variables, Work};

use crate::error::UsageError;
use crate::straggler::Stragglers;

/// The model as the replicas see it.
#[derive(Debug)]
pub(crate) struct Learner<'a> {
    pub(crate) classifier: &'a dyn Classifier,
    pub(crate) examples: &'a Examples,
    pub(crate) stragglers: &'a Stragglers,
    pub(crate) clip: Option<Clip>,
}

impl Model<f32> for Learner<'_> {
    /// Rows of the examples.
    type Batch = Vec<usize>;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        rows: &Vec<usize>,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        if let Some(delay) = self.stragglers.delay(work.replica.get())
            && work.pause(delay)
        {
            return Ok(None); // P-13
        }
        let (loss, mut gradients) = self.classifier.gradients(variables, self.examples, rows)?;
        if let Some(clip) = self.clip {
            clip.apply(&mut gradients);
        }
        Ok(Some(Computed { loss, examples: rows.len() as u64, gradients }))
    }
}

/// One replica's batches; every replica can find every batch.
#[derive(Clone, Debug)]
pub(crate) struct Numbered(pub(crate) Batches);

impl BatchSource for Numbered {
    type Batch = Vec<usize>;

    fn batch(&mut self, number: u64) -> Option<Vec<usize>> {
        Some(self.0.rows(number))
    }
}

/// How gradients are clipped before they are pushed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Each element to ± this.
    Value(f64),
    /// Each variable's gradient to this norm.
    Norm(f64),
    /// All of a replica's gradients together to this norm.
    GlobalNorm(f64),
}

impl Clip {
    /// The one that was given, if any.
    ///
    /// # Errors
    /// [`UsageError::Number`] when the limit is not finite or not above zero.
    pub fn new(
        value: Option<f64>,
        norm: Option<f64>,
        global_norm: Option<f64>,
    ) -> Result<Option<Self>, UsageError> {
        let clips = [
            ("--clip-value", value.map(Self::Value), value),
            ("--clip-norm", norm.map(Self::Norm), norm),
            ("--clip-global-norm", global_norm.map(Self::GlobalNorm), global_norm),
        ];
        for (option, clip, limit) in clips {
            if let Some(got) = limit {
                if !(got.is_finite() && got > 0.0) {
                    return Err(UsageError::number(option, "a finite number above 0", got));
                }
                return Ok(clip);
            }
        }
        Ok(None)
    }

    /// Clips in place. A gradient that is not finite stays as it is: its loss is no number either,
    /// and the guard that watches the loss can name the step.
    fn apply(self, gradients: &mut Gradients<f32>) {
        let mut views = gradients.views_mut();
        let clipped = match self {
            Self::Value(limit) => {
                views.into_iter().try_for_each(|view| clip_by_value(view, -limit, limit))
            }
            Self::Norm(limit) => {
                views.into_iter().try_for_each(|view| clip_by_norm(view, limit).map(drop))
            }
            Self::GlobalNorm(limit) => clip_by_global_norm(&mut views, limit).map(drop),
        };
        if let Err(error) = clipped {
            tracing::warn!(%error, "a gradient is pushed as it is");
        }
    }
}

impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(limit) => write!(f, "each element to ±{limit}"),
            Self::Norm(limit) => write!(f, "each gradient to norm {limit}"),
            Self::GlobalNorm(limit) => write!(f, "all gradients to norm {limit}"),
        }
    }
}
