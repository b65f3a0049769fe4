//! Ends a run whose loss is no longer a finite number.
//!
//! It checks the loss only, after the step that reports it: a finite loss says nothing of gradients
//! and variables, and it is the loss of the variables before the step.

use crate::{Failure, Hook, RunContext, Session, StepReport};

/// Stops at a loss that is NaN or infinite, as an error unless asked otherwise.
///
/// A step without a loss passes. The step that reported it is made: code that saves should check
/// the loss first.
//
#[derive(Clone, Debug)]
pub struct NanGuard {
    fail: bool,
}

impl NanGuard {
    /// Fails the run with [`NanLoss`].
    pub fn new() -> Self {
        Self { fail: true }
    }

    /// Requests a stop instead, so that the run ends cleanly.
    pub fn stop_without_error() -> Self {
        Self { fail: false }
    }
}

impl Default for NanGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Session + ?Sized> Hook<S> for NanGuard {
    fn name(&self) -> &str {
        "guard of the loss"
    }

    fn after_run(
        &mut self,
        _: &mut S,
        context: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        let Some(loss) = report.loss.filter(|loss| !loss.is_finite()) else { return Ok(()) };
        let found = NanLoss::new(report.global_step, loss);
        if self.fail {
            return Err(Failure::fatal(found));
        }
        tracing::warn!("{found}");
        context.request_stop(found.to_string());
        Ok(())
    }
}

/// The loss of a step was NaN or infinite.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the loss was {loss} at global step {global_step}; try a lower learning rate or clipping")]
#[non_exhaustive]
pub struct NanLoss {
    /// The step that reported it.
    pub global_step: i64,
    /// The loss.
    pub loss: f64,
}

impl NanLoss {
    /// For the step that reported this loss.
    #[must_use]
    pub fn new(global_step: i64, loss: f64) -> Self {
        Self { global_step, loss }
    }
}
