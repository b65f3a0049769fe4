//! The two step numbers, as two types, so that they cannot be swapped.
//!
//! Nothing here decides anything; that is the [`Gate`](crate::Gate)'s work. Invariant: a step never
//! wraps; going past the last one is `None`, for the caller to report.

use std::fmt;

/// A step of the whole training: how often the shared variables have been updated.
///
/// Any `i64` is legal, negative ones included (R-5).
///
/// ```
/// use accum_core::GlobalStep;
///
/// assert_eq!(GlobalStep::new(6).next(), Some(GlobalStep::new(7)));
/// assert_eq!(GlobalStep::new(i64::MAX).next(), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct GlobalStep(i64);

impl GlobalStep {
    /// The step with this number.
    pub const fn new(step: i64) -> Self {
        Self(step)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The step after this one; `None` after the last number there is.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(step) => Some(Self(step)),
            None => None,
        }
    }
}

/// The global step that one replica last saw, and computed its gradient at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct LocalStep(i64);

impl LocalStep {
    /// The step with this number.
    pub const fn new(step: i64) -> Self {
        Self(step)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for GlobalStep {
    fn from(step: i64) -> Self {
        Self(step)
    }
}

impl From<i64> for LocalStep {
    fn from(step: i64) -> Self {
        Self(step)
    }
}

impl From<GlobalStep> for LocalStep {
    fn from(step: GlobalStep) -> Self {
        Self(step.0)
    }
}

impl fmt::Display for GlobalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LocalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
