//! When a hook that acts every n steps is due.
//!
//! It counts global steps, not calls, so that it holds when several replicas share the steps.

use crate::Failure;

#[derive(Clone, Debug)]
pub(super) struct Every {
    steps: u64,
    last: Option<i64>,
}

impl Every {
    pub(super) fn new(steps: u64) -> Self {
        Self { steps, last: None }
    }

    /// Refuses an interval of 0, in the hook's `begin`.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.steps == 0 { Err(Failure::fatal(ZeroInterval)) } else { Ok(()) }
    }

    /// Whether `step` is at least the interval past the last mark, or there is no mark.
    pub(super) fn is_due(&self, step: i64) -> bool {
        self.last.is_none_or(|last| {
            u64::try_from(step.saturating_sub(last)).is_ok_and(|passed| passed >= self.steps)
        })
    }

    pub(super) fn mark(&mut self, step: i64) {
        self.last = Some(step);
    }

    pub(super) fn clear(&mut self) {
        self.last = None;
    }

    pub(super) fn last(&self) -> Option<i64> {
        self.last
    }
}

/// A hook's interval is 0 steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an interval of at least 1 step, got 0; leave the hook out to turn it off")]
pub struct ZeroInterval;
