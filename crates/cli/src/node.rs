//! One process of a cluster: its place, its part of the digits job, its exit code.
//!
//! Invariant: a process that can be started again goes on from the run folder that it has written
//! before.

mod chief;
mod ending;
mod error;
mod evaluator;
mod metrics_page;
mod process;

use cluster::spec::Role;

pub use ending::Ending;
pub use error::NodeError;
pub use process::Process;
use sync_replicas::checkpoint::RunId;

use crate::run_folder::RunFolder;
use crate::summary::Summary;
use crate::train::hooks;

/// Takes part until training is over; the chief has the result.
///
/// # Errors
/// [`NodeError`]; its exit code says whether a restart can help.
pub fn run(process: &Process) -> Result<Option<Summary>, NodeError> {
    let place = process.cluster.place();
    let task = place.task;
    if place.is_chief() {
        return chief::run(process).map(Some);
    }
    if task.role == Role::Evaluator {
        return evaluator::run(process).map(|()| None);
    }
    if task.role == Role::Ps
        && let Some(port) = process.metrics_port
    {
        metrics_page::serve(process.cluster.reach()?, task.index as usize, port);
    }
    let folder = (task.role == Role::Ps && task.index == 0).then(|| process.owned()).transpose()?;
    let run = folder.as_ref().map_or_else(RunId::draw, RunFolder::run);
    let report = process.fit(hooks(&process.settings, None, folder.as_ref()), run)?;
    tracing::info!(reason = report.stopped, "{task} has ended");
    Ok(None)
}
