//! How many global steps a second the run makes.
//!
//! The clock is handed in, so that a test decides what time it is.

use std::fmt;
use std::time::Duration;

use super::clock::{Clock, SystemClock};
use super::every::Every;
use crate::{Coordinator, Failure, Hook, RunContext, Session, StepReport};

/// What a [`StepCounter`] measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Rate {
    /// The global step at the end of the measured stretch.
    pub global_step: i64,
    /// Steps of the stretch / its seconds.
    pub steps_per_second: f64,
}

/// Measures the rate of global steps, every n steps.
///
/// rate = (step - last step) / (time - last time), from the session's start on. A stretch in which
/// the clock did not move gives no rate.
//
pub struct StepCounter<'a> {
    every: Every,
    since: Duration,
    clock: Box<dyn Clock + 'a>,
    sink: Box<dyn FnMut(Rate) + Send + 'a>,
}

impl fmt::Debug for StepCounter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepCounter").field("every", &self.every).finish_non_exhaustive()
    }
}

impl<'a> StepCounter<'a> {
    /// Logs the rate every `steps` steps by the machine's clock.
    pub fn every(steps: u64) -> Self {
        Self {
            every: Every::new(steps),
            since: Duration::ZERO,
            clock: Box::new(SystemClock::new()),
            sink: Box::new(|rate| {
                let Rate { global_step, steps_per_second } = rate;
                tracing::info!(global_step, steps_per_second, "rate");
            }),
        }
    }

    /// Reads this clock instead.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'a) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Hands the rates to `sink` instead of logging them.
    #[must_use]
    pub fn sink(mut self, sink: impl FnMut(Rate) + Send + 'a) -> Self {
        self.sink = Box::new(sink);
        self
    }
}

impl<S: Session + ?Sized> Hook<S> for StepCounter<'_> {
    fn begin(&mut self) -> Result<(), Failure> {
        self.every.check()
    }

    fn after_create_session(&mut self, session: &mut S, _: &Coordinator) -> Result<(), Failure> {
        self.every.mark(session.global_step());
        self.since = self.clock.now();
        Ok(())
    }

    fn after_run(
        &mut self,
        _: &mut S,
        _: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        let step = report.global_step;
        if !self.every.is_due(step) {
            return Ok(());
        }
        let now = self.clock.now();
        let seconds = now.saturating_sub(self.since).as_secs_f64();
        if let Some(last) = self.every.last().filter(|_| seconds > 0.0) {
            let steps_per_second = step.saturating_sub(last) as f64 / seconds;
            (self.sink)(Rate { global_step: step, steps_per_second });
        }
        self.every.mark(step);
        self.since = now;
        Ok(())
    }
}
