//! The tester of the model while it trains: with this process's variables, or a saved state.

use std::path::PathBuf;
use std::sync::Arc;

use sync_replicas::checkpoint::{self, TrainingState};
use sync_replicas::{BoxError, ChiefSession, Variables};
use tabular::data::Dataset;
use tabular::models::Network;
use tabular::scores::{self, Tested};

use crate::run::metrics::Evaluation;
use crate::run::table_rows::TableRows;
use crate::settings::Settings;

/// Tests a model with the rows kept for that.
pub(crate) struct Tester {
    pub(crate) model: Arc<Network>,
    pub(crate) data: Arc<Dataset>,
    pub(crate) source: Source,
}

/// What it tests.
pub(crate) enum Source {
    /// The present variables, with rows from there.
    Newest(TableRows),
    /// The newest checkpoint, since tables are in servers, which give rows to replicas only; and
    /// the one that was tested last.
    Checkpoints(PathBuf, Option<PathBuf>),
}

impl Tester {
    /// Of the model and the data of a training.
    pub(crate) fn new(settings: &Settings, source: Source) -> Self {
        let (model, data) =
            (Arc::clone(&settings.trained.model), Arc::clone(&settings.trained.data));
        Self { model, data, source }
    }

    /// Tests the state at this step; nothing if that was tested before.
    pub(crate) fn test(
        &mut self,
        session: &ChiefSession<f32>,
        step: i64,
    ) -> Result<Option<Evaluation>, BoxError> {
        match &mut self.source {
            Source::Newest(rows) => {
                let rows = rows.clone();
                let snapshot = session.snapshot();
                let of = |variables: &Variables<f32>| self.scores(variables, &rows);
                let averages = session.averages().as_ref().map(of).transpose()?;
                Ok(Some(Evaluation {
                    step,
                    generation: snapshot.generation.get(),
                    scores: of(&snapshot.variables)?.scores,
                    averages_test_accuracy: averages.and_then(|it| it.scores.test_accuracy),
                }))
            }
            Source::Checkpoints(folder, last) => {
                let newest = checkpoint::latest(folder)?;
                if newest.is_none() || newest == *last {
                    return Ok(None);
                }
                *last = newest;
                // One that goes while it is read is followed by another.
                let Some(state) = last.as_ref().and_then(|path| checkpoint::open(path).ok()) else {
                    return Ok(None);
                };
                self.evaluate(&state).map(Some)
            }
        }
    }

    /// Tests a checkpoint.
    pub(crate) fn evaluate(&self, state: &TrainingState<f32>) -> Result<Evaluation, BoxError> {
        let rows = TableRows::Saved(state.tables.clone());
        let of = |variables: &Variables<f32>| self.scores(variables, &rows);
        let averages = state.averaged().as_ref().map(of).transpose()?;
        Ok(Evaluation {
            step: state.global_step.get(),
            generation: state.generation.get(),
            scores: of(&state.variables)?.scores,
            averages_test_accuracy: averages.and_then(|it| it.scores.test_accuracy),
        })
    }

    /// Tests these variables.
    pub(crate) fn scores(
        &self,
        variables: &Variables<f32>,
        rows: &TableRows,
    ) -> Result<Tested, BoxError> {
        scores::test(&self.model, variables, &self.data.test, |keys| rows.lookup(keys))
    }
}
