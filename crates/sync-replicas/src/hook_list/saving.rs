//! Checkpoints of a training in one process, and the handling of those that fail.
//!
//! A full disk ends no training: the next save may find room. Invariant: the last trained state is
//! saved, or the training has failed.

use std::error::Error;
use std::time::{Duration, Instant};

use hooks::{BoxError, CheckpointSaver, Coordinator, Failure, Hook, RunContext, StepReport};

use super::Checkpoints;
use crate::checkpoint::{CheckpointError, FEWEST_KEPT, Retry};
use crate::failure::describe;
use crate::record::FailedSave;
use crate::runtime::Shared;
use crate::sync::{Arc, park_timeout};
use crate::{ChiefSession, Scalar};

/// How long the last save is retried.
const LONGEST: Duration = Duration::from_secs(60);

pub(super) struct Saving<T: Scalar> {
    saver: CheckpointSaver<'static, ChiefSession<T>>,
    shared: Arc<Shared<T>>,
}

impl<T: Scalar> Saving<T> {
    pub(super) fn new(checkpoints: Checkpoints, shared: &Arc<Shared<T>>) -> Self {
        let Checkpoints { folder, steps, keep } = checkpoints;
        let training = Arc::clone(shared);
        let save = move |_: &mut ChiefSession<T>, _: i64| {
            training.save(&folder, keep.max(FEWEST_KEPT))?;
            Ok::<(), BoxError>(())
        };
        Self { saver: CheckpointSaver::every(steps, save), shared: Arc::clone(shared) }
    }

    /// Notes a save that failed, if another may succeed.
    fn failed(&self, step: i64, error: Failure) -> Result<(), Failure> {
        let Failure::Fatal(source) = &error else { return Err(error) };
        let Some(CheckpointError::Io { .. } | CheckpointError::Busy { .. }) = source.downcast_ref()
        else {
            return Err(error);
        };
        let source: &dyn Error = &**source;
        let reason = describe(source);
        tracing::error!(step, reason, "no checkpoint was written; training goes on");
        if let Some(record) = &self.shared.record {
            record.add_failed_save(FailedSave { step, reason });
        }
        Ok(())
    }
}

impl<T: Scalar> Hook<ChiefSession<T>> for Saving<T> {
    fn name(&self) -> &str {
        "saving a checkpoint"
    }

    fn begin(&mut self) -> Result<(), Failure> {
        Hook::<ChiefSession<T>>::begin(&mut self.saver)
    }

    fn after_create_session(
        &mut self,
        session: &mut ChiefSession<T>,
        coordinator: &Coordinator,
    ) -> Result<(), Failure> {
        self.saver.after_create_session(session, coordinator)
    }

    fn after_run(
        &mut self,
        session: &mut ChiefSession<T>,
        context: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        match self.saver.after_run(session, context, report) {
            Err(error) => self.failed(report.global_step, error),
            saved => saved,
        }
    }

    fn end(&mut self, session: &mut ChiefSession<T>) -> Result<(), Failure> {
        let (begun, mut retry) = (Instant::now(), Retry::new(Duration::ZERO, LONGEST));
        loop {
            let Err(error) = self.saver.end(session) else { return Ok(()) };
            let Some(pause) = retry.next(begun.elapsed()) else { return Err(error) };
            self.failed(self.shared.published().global_step.get(), error)?;
            park_timeout(pause);
        }
    }
}
