//! One process of a cluster: its place, its part of the training, its exit code.
//!
//! Invariant: a process that can be started again goes on from the run folder that it has written
//! before.

mod any_program;
mod chief;
mod coordinator;
mod ended;
mod evaluator;
mod last_test;
mod metrics_page;
mod pauses;
mod process;

use cluster::spec::Role;

pub use any_program::serve;
pub use ended::Ended;
pub use process::{Process, serves_any_program};
use sync_replicas::checkpoint::RunId;

use crate::error::Error;
use crate::train::hooks;

/// Takes part until training is over, or until it is asked to leave.
///
/// # Errors
/// When its part fails; the exit status says whether a restart can help.
pub fn run(process: &Process) -> Result<Ended, Error> {
    raise_descriptors();
    let place = process.cluster.place();
    let task = place.task;
    if place.is_chief() {
        return chief::run(process);
    }
    if task.role == Role::Evaluator {
        return evaluator::run(process);
    }
    if task.role == Role::Ps
        && let Some(port) = process.metrics_port
    {
        metrics_page::serve(process.cluster.status_handle(), process.metrics_address, port)?;
    }
    if task.role == Role::Ps && task.index == 0 {
        return coordinator::run(process);
    }
    // Each server writes the rows of its own tables.
    let writes = task.role == Role::Ps && process.settings.model.has_tables();
    let folder = writes.then(|| process.joined()).transpose()?;
    let hooks = hooks(&process.settings, None, folder.as_ref());
    let report = process.fit(hooks, RunId::draw(), None)?;
    Ok(Ended::of(&report))
}

/// The usual limit of 1,024 descriptors is for programs that wait for them with `select`; strangers
/// could take them all (P-27).
fn raise_descriptors() {
    #[cfg(unix)]
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!(%error, "the limit of descriptors was not raised");
    }
}
