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
mod pauses;
mod process;

use cluster::spec::Role;

pub use any_program::serve;
pub use ended::Ended;
pub use process::{Process, serves_any_program};
use sync_replicas::checkpoint::RunId;

use crate::error::Error;
use crate::optional::set;
use crate::pages::observe::{self, Observed};
use crate::run::hooks;

/// Takes part until training is over, or until it is asked to leave.
///
/// # Errors
/// When its part fails; the exit status says whether a restart can help.
pub fn run(process: &Process) -> Result<Ended, Error> {
    raise_descriptors();
    let place = process.cluster.place();
    let task = place.task;
    if process::leads(task) {
        return coordinator::run(process);
    }
    serve_page(process)?;
    if place.is_chief() {
        return chief::run(process);
    }
    if task.role == Role::Evaluator {
        return evaluator::run(process);
    }
    // Each server writes the rows of its own tables.
    let writes = task.role == Role::Ps && process.settings.trained.model.has_tables();
    let folder = writes.then(|| process.joined()).transpose()?;
    let hooks = hooks(&process.settings, None, folder.as_ref());
    let report = process.fit(hooks, RunId::draw(), None)?;
    Ok(Ended::of(&report))
}

/// Serves the page of a process that does not coordinate, if it should have one: a server's status,
/// a worker's own record.
fn serve_page(process: &Process) -> Result<(), Error> {
    let Some(page) = observe::listen(process.page)? else { return Ok(()) };
    let status = process.cluster.status_handle();
    let observed = Observed::new(move || status.get());
    let observed = set(observed, process.own_record.as_ref(), Observed::with_record);
    observe::serve(observed, page).map(drop)
}

/// The usual limit of 1,024 descriptors is for programs that wait for them with `select`; strangers
/// could take them all (P-27).
fn raise_descriptors() {
    #[cfg(unix)]
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!(%error, "the limit of descriptors was not raised");
    }
}
