//! Pauses of a process that watches files which others write.
//!
//! Invariant: a process that is asked to leave does not wait.

use std::time::Duration;

use cluster::{ClusterError, ProcessHandle};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::process::Process;
use crate::error::Error;

pub(super) struct Pauses {
    runtime: Runtime,
    stop: ProcessHandle,
}

impl Pauses {
    pub(super) fn new(process: &Process) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(ClusterError::Runtime)?;
        Ok(Self { runtime, stop: process.cluster.process_handle() })
    }

    /// Waits for so long; whether the process was asked to leave meanwhile.
    pub(super) fn pause(&self, time: Duration) -> bool {
        self.runtime.block_on(async { timeout(time, self.stop.leave_requested()).await.is_ok() })
    }
}
