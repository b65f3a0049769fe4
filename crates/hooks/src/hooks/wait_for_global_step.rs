//! Holds a replica back until the others have reached a step.
//!
//! It sleeps on the published step: it wakes when the step is reached or the run stops, and never
//! polls.

use std::time::Duration;

use crate::{Failure, Hook, RunContext, Session, StepWatch};

/// Keeps the first step waiting until a global step was published.
//
#[derive(Clone, Debug)]
pub struct WaitForGlobalStep {
    step: i64,
    watch: StepWatch,
    reached: bool,
}

impl WaitForGlobalStep {
    /// Waits until `watch` is at `step`; not at all if it already is.
    pub fn new(step: i64, watch: StepWatch) -> Self {
        Self { step, watch, reached: false }
    }
}

impl<S: Session + ?Sized> Hook<S> for WaitForGlobalStep {
    fn before_run(&mut self, _: &mut S, context: &RunContext<'_>) -> Result<(), Failure> {
        if !self.reached {
            let coordinator = context.coordinator();
            self.reached = self.watch.wait_until(self.step, coordinator, Duration::MAX);
        }
        Ok(())
    }
}
