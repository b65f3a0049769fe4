//! The evaluator: it tests every new checkpoint of a training that it has no part in.
//!
//! It asks no server and holds no replica's place, so training neither waits for it nor ends with
//! it. Invariant: it ends, with the last update's checkpoint or because none came for too long.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cluster::ClusterError;
use digits::models::accuracy;
use serde::Serialize;
use sync_replicas::checkpoint::{self, TrainingState};
use tokio::time::timeout;

use super::Ended;
use super::error::NodeError;
use super::process::Process;
use crate::metrics::Metrics;
use crate::run_folder::RunFolder;
use crate::say::say;
use crate::settings::Settings;
use crate::train::TrainError;

/// Between two looks at the folder, which may be a network's and tells nobody of its changes.
const LOOK: Duration = Duration::from_millis(500);

/// One checkpoint, tested.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Evaluation {
    step: i64,
    generation: u64,
    test_accuracy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    averages_test_accuracy: Option<f64>,
}

/// Tests checkpoints until that of the last update, or until it is asked to end.
pub(super) fn run(process: &Process) -> Result<Ended, NodeError> {
    let settings = &process.settings;
    if settings.out.is_none() && settings.checkpoint_dir.is_none() {
        return Err(NodeError::NoFolder);
    }
    let folder = process.joined()?;
    let file = folder.root().join("evaluations.jsonl");
    let mut lines = Metrics::append(&file).map_err(TrainError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| NodeError::Cluster(ClusterError::Runtime(error)))?;
    let stop = process.stop_handle();
    let (mut known, mut since) = (None, Instant::now());
    loop {
        if let Some((path, state)) = newer(&folder, known.as_ref())? {
            let evaluation = evaluate(settings, &state)?;
            lines.write("evaluation", &evaluation).map_err(TrainError::from)?;
            lines.flush().map_err(TrainError::from)?;
            if !settings.quiet {
                say(format!("update {}  {}", evaluation.step, words(&evaluation)));
            }
            if evaluation.step.unsigned_abs() >= settings.updates {
                return Ok(Ended::Over(None));
            }
            (known, since) = (Some(path), Instant::now());
        }
        if since.elapsed() >= process.patience {
            return Err(NodeError::NoCheckpoint {
                folder: folder.checkpoints().to_owned(),
                seconds: process.patience.as_secs_f64(),
            });
        }
        if runtime.block_on(async { timeout(LOOK, stop.wished()).await.is_ok() }) {
            return Ok(Ended::Left);
        }
    }
}

/// The newest checkpoint, if it is another than the one that is known.
fn newer(
    folder: &RunFolder,
    known: Option<&PathBuf>,
) -> Result<Option<(PathBuf, TrainingState<f32>)>, NodeError> {
    let newest = checkpoint::latest(folder.checkpoints()).map_err(TrainError::from)?;
    let Some(path) = newest.filter(|path| Some(path) != known) else { return Ok(None) };
    match checkpoint::read(&path) {
        Ok(state) => Ok(Some((path, state))),
        // An old one is removed when a newer one is written, whoever reads it.
        Err(_) if !path.exists() => Ok(None),
        Err(error) => Err(TrainError::from(error).into()),
    }
}

fn evaluate(settings: &Settings, state: &TrainingState<f32>) -> Result<Evaluation, TrainError> {
    let test = |variables: &_| accuracy(&*settings.classifier, variables, &settings.digits.test);
    Ok(Evaluation {
        step: state.global_step.get(),
        generation: state.generation.get(),
        test_accuracy: test(&state.variables)?,
        averages_test_accuracy: state.averaged().as_ref().map(test).transpose()?,
    })
}

fn words(evaluation: &Evaluation) -> String {
    let mut words = format!("test accuracy {:.2} %", 100.0 * evaluation.test_accuracy);
    if let Some(averages) = evaluation.averages_test_accuracy {
        words += &format!(", of the averages {:.2} %", 100.0 * averages);
    }
    words
}
