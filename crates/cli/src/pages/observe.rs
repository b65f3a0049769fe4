//! Views of a running training: metrics for Prometheus, a live page, and rows in a terminal.
//!
//! Every view is drawn from a status and a record; none of them changes anything, and a view
//! without a viewer costs nothing.

mod evaluations;
mod events;
mod http;
mod listen;
mod prometheus;
mod recent;
mod rows;
mod view;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use cluster::{ServerStatus, Usage};
use sync_replicas::record::Record;
use sync_replicas::status::Status;

pub(crate) use self::evaluations::Evaluations;
pub(crate) use self::http::serve;
pub(crate) use self::listen::{address, listen};
pub(crate) use self::recent::Recent;
pub(crate) use self::rows::rows;
pub(crate) use self::view::View;

/// How a training in this process is, in the words of a cluster's parameter server 0.
pub(crate) fn of_process(status: Status, record: &Record) -> ServerStatus {
    let activity = record.activity();
    let steps = &activity.step_seconds;
    ServerStatus {
        generation: status.generation,
        global_step: status.global_step,
        checkpoints: activity.save_seconds.count(),
        failed_checkpoints: activity.failed_saves,
        updates_per_second: Some(steps.count() as f64 / steps.sum().max(1e-9)),
        usage: Usage::of_process(0),
        coordinator: Some(status),
        ..ServerStatus::default()
    }
}

/// The sources of one process's views.
#[derive(Clone)]
pub(crate) struct Observed {
    status: Arc<dyn Fn() -> Option<ServerStatus> + Send + Sync>,
    record: Option<Record>,
    /// Where tests of the model are written.
    folder: Option<Arc<Path>>,
}

impl Observed {
    /// A process that reports its status; `None` while it cannot.
    pub(crate) fn new(status: impl Fn() -> Option<ServerStatus> + Send + Sync + 'static) -> Self {
        Self { status: Arc::new(status), record: None, folder: None }
    }

    /// Its record.
    pub(crate) fn with_record(self, record: &Record) -> Self {
        Self { record: Some(record.clone()), ..self }
    }

    /// The run folder.
    pub(crate) fn in_folder(self, folder: &Path) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    fn status(&self) -> Option<ServerStatus> {
        (self.status)()
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("folder", &self.folder).finish_non_exhaustive()
    }
}
