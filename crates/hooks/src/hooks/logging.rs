//! Reports on the run, every n steps.
//!
//! It prints nothing itself: reports go to the log or to a sink.

use std::fmt;

use super::every::Every;
use crate::{Coordinator, Failure, Hook, RunContext, Session, StepReport};

/// Logs reports: the first after each start, then one every n steps.
//
pub struct Logging<'a> {
    every: Every,
    at_end: bool,
    last: Option<StepReport>,
    sink: Box<dyn FnMut(&StepReport) + Send + 'a>,
}

impl fmt::Debug for Logging<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logging").field("every", &self.every).finish_non_exhaustive()
    }
}

impl<'a> Logging<'a> {
    /// Logs every `steps` steps.
    pub fn every(steps: u64) -> Self {
        Self {
            every: Every::new(steps),
            at_end: false,
            last: None,
            sink: Box::new(|report| {
                let StepReport { global_step, loss, scalars } = report;
                tracing::info!(global_step, loss, ?scalars, "step");
            }),
        }
    }

    /// Also logs the last report, when the run ends, unless it was logged already.
    #[must_use]
    pub fn at_end(mut self) -> Self {
        self.at_end = true;
        self
    }

    /// Hands the reports to `sink` instead of logging them.
    #[must_use]
    pub fn sink(mut self, sink: impl FnMut(&StepReport) + Send + 'a) -> Self {
        self.sink = Box::new(sink);
        self
    }
}

impl<S: Session + ?Sized> Hook<S> for Logging<'_> {
    fn begin(&mut self) -> Result<(), Failure> {
        self.every.check()
    }

    fn after_create_session(&mut self, _: &mut S, _: &Coordinator) -> Result<(), Failure> {
        self.every.clear();
        Ok(())
    }

    fn after_run(
        &mut self,
        _: &mut S,
        _: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        if self.every.is_due(report.global_step) {
            self.every.mark(report.global_step);
            self.last = None;
            (self.sink)(report);
        } else if self.at_end {
            self.last = Some(report.clone());
        }
        Ok(())
    }

    fn end(&mut self, _: &mut S) -> Result<(), Failure> {
        if let Some(report) = self.last.take() {
            (self.sink)(&report);
        }
        Ok(())
    }
}
