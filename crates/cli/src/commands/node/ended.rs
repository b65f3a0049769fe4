//! How a process's part in a training ended.

use cluster::ClusterReport;
use sync_replicas::Scalar;

use crate::run::summary::Summary;

/// How a process's part ended.
#[derive(Debug)]
pub enum Ended {
    /// With the training; the chief has the result.
    Over(Option<Box<Summary>>),
    /// Before it, as requested.
    Left,
}

impl Ended {
    /// Of a process without a result.
    pub(super) fn of<T: Scalar>(report: &ClusterReport<T>) -> Self {
        tracing::info!(reason = report.stopped, "{} has ended", report.task);
        if report.left { Self::Left } else { Self::Over(None) }
    }
}
