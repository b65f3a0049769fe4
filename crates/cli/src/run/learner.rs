//! What the trainer trains: a model over the rows to train on, with stragglers and clipping.
//!
//! Starts nothing and holds no variables.

use sync_replicas::driver::describe;
use sync_replicas::{BatchSampler, BatchSource, BoxError, Computed, Keys, Model, Variables, Work};
use tabular::data::{DataError, Part, PartReader};
use tabular::models::{Batch, Network};

use crate::settings::{Clip, Stragglers};

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
