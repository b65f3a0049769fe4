//! What the trainer trains: a model over the rows to train on, with stragglers and clipping.
//!
//! Starts nothing and holds no variables.

use std::fmt;

use optim::{clip_by_global_norm, clip_by_norm, clip_by_value};
use sync_replicas::driver::describe;
use sync_replicas::{
    BatchSampler, BatchSource, BoxError, Computed, Gradients, Keys, Model, Variables, Work,
};
use tabular::data::{DataError, Part, PartReader};
use tabular::models::{Batch, Network};

use crate::error::UsageError;
use crate::straggler::Stragglers;

/// The model as the replicas see it.
#[derive(Debug)]
pub(crate) struct Learner<'a> {
    pub(crate) model: &'a Network,
    pub(crate) stragglers: &'a Stragglers,
    pub(crate) clip: Option<Clip>,
}

impl Model<f32> for Learner<'_> {
    /// A changed file has none.
    type Batch = Result<Batch, DataError>;

    fn keys(&self, batch: &Self::Batch) -> Keys {
        batch.as_ref().map(Batch::keys).unwrap_or_default()
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &Self::Batch,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        if let Some(delay) = self.stragglers.delay(work.replica.get())
            && work.pause(delay)
        {
            return Ok(None); // P-13
        }
        let batch = batch.as_ref().map_err(|error| describe(error))?;
        let of_table = |table: &str| work.rows(table);
        let (loss, mut gradients) = self.model.gradients(variables, batch, of_table)?;
        if let Some(clip) = self.clip {
            clip.apply(&mut gradients);
        }
        Ok(Some(Computed { loss, examples: batch.len() as u64, gradients }))
    }
}

/// One replica's batches; every replica can find every batch, in the file that it has open.
#[derive(Debug)]
pub(crate) struct Numbered<'a> {
    pub(crate) sampler: BatchSampler,
    pub(crate) model: &'a Network,
    pub(crate) part: &'a Part,
    reader: Option<PartReader>,
}

impl<'a> Numbered<'a> {
    pub(crate) fn new(sampler: BatchSampler, model: &'a Network, part: &'a Part) -> Self {
        Self { sampler, model, part, reader: None }
    }

    fn read(&mut self, number: u64) -> Result<Batch, DataError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(self.part.reader()?),
        };
        let rows = self.sampler.rows(number);
        Ok(self.model.batch(reader.examples(rows.into_iter())?))
    }
}

impl BatchSource for Numbered<'_> {
    type Batch = Result<Batch, DataError>;

    fn batch(&mut self, number: u64) -> Option<Self::Batch> {
        Some(self.read(number))
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
    /// The given limit, if any.
    ///
    /// # Errors
    /// [`UsageError::Option`] when the limit is not finite or not above zero.
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
                    return Err(UsageError::option(option, "a finite number above 0", got));
                }
                return Ok(clip);
            }
        }
        Ok(None)
    }

    /// Clips in place. A gradient that is not finite stays as it is: its loss is not finite either,
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
