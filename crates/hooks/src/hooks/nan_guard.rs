//! Ends a run whose loss is no longer a number.
//!
//! It looks at the loss only, and not at infinite ones: those can still come down.

use crate::{Hook, HookError, RunContext, Session, StepReport};

/// Stops at a NaN loss, as an error unless asked otherwise.
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
    ) -> Result<(), HookError> {
        if !report.loss.is_some_and(f64::is_nan) {
            return Ok(());
        }
        let found = NanLoss { global_step: report.global_step };
        if self.fail {
            return Err(HookError::failed(found));
        }
        tracing::warn!("{found}");
        context.request_stop(found.to_string());
        Ok(())
    }
}

/// The loss of a step was NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the loss was NaN at global step {global_step}; try a lower learning rate or clipping")]
#[non_exhaustive]
pub struct NanLoss {
    /// The step that reported it.
    pub global_step: i64,
}
