//! The staleness rule and the count, alone: no data, no lock, no waiting.
//!
//! Both accumulators are built on it, and a coordinator that holds no gradients uses it by itself,
//! so that the rule is written once. Invariant: the step moves only by a close, its undoing, or
//! [`Gate::set_step`]; the count is the number admitted and not yet closed over.

use std::num::NonZeroU64;

use crate::{Applied, Freshness, GlobalStep, LocalStep, StepOverflow};

/// Which gradients are still admitted, how many came, and when that is enough.
///
/// ```
/// use std::num::NonZeroU64;
/// use accum_core::{Applied, Gate, GlobalStep};
///
/// let two = NonZeroU64::new(2).expect("two is not zero");
/// let mut gate = Gate::new();
/// assert_eq!(gate.admit(0), Applied::Accepted { count: 1 });
/// assert_eq!(gate.try_close(two)?, None);
/// assert!(gate.admit(0).is_accepted());
/// let closed = gate.try_close(two)?.expect("two came");
/// assert_eq!((closed.step.get(), closed.count), (0, 2));
/// assert!(!gate.admit(0).is_accepted(), "step 0 is over");
/// # Ok::<(), accum_core::StepOverflow>(())
/// ```
// R-1 to R-3
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    step: GlobalStep,
    count: u64,
}

/// A step that a gate closed, and how many gradients it had admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Closed {
    /// The step that is over; the gate stood one further right after.
    pub step: GlobalStep,
    /// How many were admitted: at least as many as were required.
    pub count: u64,
}

impl Gate {
    /// A gate at step 0 that has admitted no gradient.
    // R-1
    pub const fn new() -> Self {
        Self { step: GlobalStep::new(0), count: 0 }
    }

    /// Whether `local_step` is at least the gate's step; a later one is also fresh.
    // R-2
    pub fn judge(&self, local_step: impl Into<LocalStep>) -> Freshness {
        let local_step = local_step.into();
        if local_step.get() < self.step.get() {
            Freshness::Stale { local_step, global_step: self.step }
        } else {
            Freshness::Fresh
        }
    }

    /// Counts one in when it is fresh; nothing changes when it is stale.
    // R-2
    pub fn admit(&mut self, local_step: impl Into<LocalStep>) -> Applied {
        match self.judge(local_step) {
            Freshness::Fresh => {
                // No machine pushes 2^64 times; a put-back of a made-up count might come near.
                self.count = self.count.saturating_add(1);
                Applied::Accepted { count: self.count }
            }
            Freshness::Stale { local_step, global_step } => {
                Applied::Stale { local_step, global_step }
            }
        }
    }

    /// Ends the step when at least `num_required` came in: step + 1, count 0.
    ///
    /// `None`, and nothing changed, while there are too few.
    ///
    /// # Errors
    /// [`StepOverflow`] when there is no step after this one; nothing changes.
    // R-3
    pub fn try_close(&mut self, num_required: NonZeroU64) -> Result<Option<Closed>, StepOverflow> {
        if self.count < num_required.get() {
            return Ok(None);
        }
        let next = self.step.next().ok_or(StepOverflow { step: self.step })?;
        let closed = Closed { step: self.step, count: self.count };
        self.step = next;
        self.count = 0;
        Ok(Some(closed))
    }

    /// Undoes a close: its count is added to what came since, and the step goes back by one.
    ///
    /// The step goes back only when the gate still stands where the close left it. When another
    /// close or [`set_step`](Self::set_step) moved it, that stands, and only the count is merged.
    /// Returns whether the step went back.
    pub fn undo_close(&mut self, closed: Closed) -> bool {
        self.count = self.count.saturating_add(closed.count);
        let untouched = closed.step.next() == Some(self.step);
        if untouched {
            self.step = closed.step;
        }
        untouched
    }

    /// Sets the step, even lower, and returns the old one; the count stays.
    // R-5
    pub fn set_step(&mut self, step: impl Into<GlobalStep>) -> GlobalStep {
        std::mem::replace(&mut self.step, step.into())
    }

    /// The step that a gradient must not be behind.
    pub const fn step(&self) -> GlobalStep {
        self.step
    }

    /// How many were admitted since the last close.
    // R-6
    pub const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests;
