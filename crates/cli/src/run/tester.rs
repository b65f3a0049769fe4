//! The tester of the model while it trains: with this process's variables, or a saved state.

use std::path::{Path, PathBuf};
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
                last.clone_from(&newest);
                let opened = newest.and_then(|path| Some((checkpoint::open(&path).ok()?, path)));
                // One that goes while it is opened is followed by another, too.
                opened.map_or(Ok(None), |(state, path)| self.evaluate(&path, &state))
            }
        }
    }

    /// Tests the checkpoint of this place; nothing if it goes meanwhile: an old one is removed when
    /// a newer one is written.
    pub(crate) fn evaluate(
        &self,
        path: &Path,
        state: &TrainingState<f32>,
    ) -> Result<Option<Evaluation>, BoxError> {
        match self.try_to_evaluate(state) {
            Err(_) if !path.exists() => Ok(None),
            evaluated => evaluated.map(Some),
        }
    }

    fn try_to_evaluate(&self, state: &TrainingState<f32>) -> Result<Evaluation, BoxError> {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;
    use crate::args::Cli;
    use crate::commands::train::train;
    use crate::system::interrupt::Interrupt;

    // P-24: rows are read when they are needed, and the checkpoint may have gone by then.
    #[test]
    fn a_checkpoint_that_goes_while_it_is_tested_is_passed_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let [data, out] = ["rows.csv", "run"].map(|it| dir.path().join(it).display().to_string());
        let rows = (0..50).map(|n| format!("k{},{}\n", n % 7, n % 2)).collect::<String>();
        fs::write(&data, format!("key,y\n{rows}")).expect("is writable");
        let args = ["x", "train", &data, "--target", "y", "--updates", "2", "--out", &out, "-q"];
        let args = Cli::try_parse_from(args).expect("parses").into_train();
        let settings = Settings::check(args).expect("is valid");
        let summary = train(&settings, &Interrupt::new()).expect("trains");

        let tester = Tester::new(&settings, Source::Newest(TableRows::Elsewhere));
        let path = PathBuf::from(summary.checkpoint);
        let test = || {
            let state = checkpoint::open(&path).expect("is whole");
            move |tester: &Tester, path| tester.evaluate(path, &state)
        };
        let (whole, damaged, gone) = (test(), test(), test());
        assert_eq!(whole(&tester, &path).expect("is whole").map(|test| test.step), Some(2));
        for file in fs::read_dir(&path).expect("is there").map(|it| it.expect("is there").path()) {
            if file.display().to_string().contains("rows-") {
                fs::remove_file(file).expect("can be removed");
            }
        }
        damaged(&tester, &path).expect_err("has no rows");
        fs::remove_dir_all(&path).expect("can be removed");
        assert_eq!(gone(&tester, &path).expect("is no error"), None);
    }
}
