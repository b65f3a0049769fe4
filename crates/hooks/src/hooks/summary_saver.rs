//! Writes reports to somewhere they can be plotted from.
//!
//! The format is the writer's. A report is written once.

use std::fmt;

use super::every::Every;
use crate::{BoxError, Coordinator, Hook, HookError, RunContext, Session, StepReport};

/// Where summaries go.
pub trait SummaryWriter: Send {
    /// Writes one report.
    ///
    /// # Errors
    /// Whatever kept it from being written; the run then fails.
    fn write(&mut self, report: &StepReport) -> Result<(), BoxError>;

    /// Makes sure that what was written is there; called at a clean end.
    ///
    /// # Errors
    /// Whatever kept it from being so.
    fn flush(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Writes reports: the first after each start, then one every n steps.
pub struct SummarySaver<'a> {
    every: Every,
    writer: Box<dyn SummaryWriter + 'a>,
}

impl fmt::Debug for SummarySaver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SummarySaver").field("every", &self.every).finish_non_exhaustive()
    }
}

impl<'a> SummarySaver<'a> {
    /// Writes every `steps` steps.
    pub fn every(steps: u64, writer: impl SummaryWriter + 'a) -> Self {
        Self { every: Every::new(steps), writer: Box::new(writer) }
    }
}

impl<S: Session + ?Sized> Hook<S> for SummarySaver<'_> {
    fn name(&self) -> &str {
        "writing metrics"
    }

    fn begin(&mut self) -> Result<(), HookError> {
        self.every.check()
    }

    fn after_create_session(&mut self, _: &mut S, _: &Coordinator) -> Result<(), HookError> {
        self.every.clear();
        Ok(())
    }

    fn after_run(
        &mut self,
        _: &mut S,
        _: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), HookError> {
        if self.every.is_due(report.global_step) {
            self.writer.write(report)?;
            self.every.mark(report.global_step);
        }
        Ok(())
    }

    fn end(&mut self, _: &mut S) -> Result<(), HookError> {
        Ok(self.writer.flush()?)
    }
}
