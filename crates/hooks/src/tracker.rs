//! Where a run's numbers go for viewing: TensorBoard, a file of lines, a service.
//!
//! A tracker records what it is told and answers nothing. Invariant: whatever becomes of it,
//! training goes on; its caller reports its first failure and drops the others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::BoxError;

/// A receiver of a run's reports.
///
/// Only [`scalars`](Self::scalars) is required; a tracker ignores what it has no place for. It may
/// keep its input for about a second: [`flush`](Self::flush) hands over everything.
///
/// # Examples
/// ```
/// use hooks::{At, BoxError, Tracker};
///
/// struct Printer;
///
/// impl Tracker for Printer {
///     fn scalars(&mut self, at: At, scalars: &[(&str, f64)]) -> Result<(), BoxError> {
///         println!("step {}: {scalars:?}", at.step);
///         Ok(())
///     }
/// }
///
/// Printer.scalars(At::now(7), &[("loss", 0.25)])?;
/// # Ok::<(), BoxError>(())
/// ```
// R-34, P-29
pub trait Tracker: Send {
    /// The settings that the run was started with: learning rate, batch size, seed.
    ///
    /// # Errors
    /// Whatever kept it from being written.
    fn params(&mut self, params: &[(&str, Param<'_>)]) -> Result<(), BoxError> {
        let _ = params;
        Ok(())
    }

    /// Numbers of one step, by name.
    ///
    /// # Errors
    /// Whatever kept them from being written.
    fn scalars(&mut self, at: At, scalars: &[(&str, f64)]) -> Result<(), BoxError>;

    /// Many values of one kind, such as the times that batches took, as a histogram.
    ///
    /// # Errors
    /// Whatever kept them from being written.
    fn histogram(&mut self, at: At, name: &str, values: &[f64]) -> Result<(), BoxError> {
        let _ = (at, name, values);
        Ok(())
    }

    /// Words for people.
    ///
    /// # Errors
    /// Whatever kept them from being written.
    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), BoxError> {
        let _ = (at, name, text);
        Ok(())
    }

    /// The run goes on from this step: reports of later ones no longer count.
    ///
    /// # Errors
    /// Whatever kept it from being written.
    fn restored(&mut self, step: i64) -> Result<(), BoxError> {
        let _ = step;
        Ok(())
    }

    /// Hands over what was kept until now.
    ///
    /// # Errors
    /// Whatever kept it from being written; where possible it is tried again the next time.
    fn flush(&mut self) -> Result<(), BoxError> {
        Ok(())
    }

    /// The run has come to its end, and did not fail.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    fn finish(&mut self) -> Result<(), BoxError> {
        self.flush()
    }
}

/// The step and time of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The global step.
    pub step: i64,
    /// By the clock on the wall.
    pub time: SystemTime,
}

impl At {
    /// This step, at this moment.
    #[must_use]
    pub fn now(step: i64) -> Self {
        Self { step, time: SystemTime::now() }
    }
}

/// A setting of the run, as one of its [`params`](Tracker::params).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Param<'a> {
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// Anything else.
    Text(&'a str),
}

impl From<f64> for Param<'_> {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Param<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<T: Tracker + ?Sized> Tracker for Box<T> {
    fn params(&mut self, params: &[(&str, Param<'_>)]) -> Result<(), BoxError> {
        (**self).params(params)
    }

    fn scalars(&mut self, at: At, scalars: &[(&str, f64)]) -> Result<(), BoxError> {
        (**self).scalars(at, scalars)
    }

    fn histogram(&mut self, at: At, name: &str, values: &[f64]) -> Result<(), BoxError> {
        (**self).histogram(at, name, values)
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), BoxError> {
        (**self).text(at, name, text)
    }

    fn restored(&mut self, step: i64) -> Result<(), BoxError> {
        (**self).restored(step)
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        (**self).flush()
    }

    fn finish(&mut self) -> Result<(), BoxError> {
        (**self).finish()
    }
}

/// One tracker with several callers: a hook, and code that knows more than a hook does.
impl<T: Tracker + ?Sized> Tracker for Arc<Mutex<T>> {
    fn params(&mut self, params: &[(&str, Param<'_>)]) -> Result<(), BoxError> {
        lock(self).params(params)
    }

    fn scalars(&mut self, at: At, scalars: &[(&str, f64)]) -> Result<(), BoxError> {
        lock(self).scalars(at, scalars)
    }

    fn histogram(&mut self, at: At, name: &str, values: &[f64]) -> Result<(), BoxError> {
        lock(self).histogram(at, name, values)
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), BoxError> {
        lock(self).text(at, name, text)
    }

    fn restored(&mut self, step: i64) -> Result<(), BoxError> {
        lock(self).restored(step)
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        lock(self).flush()
    }

    fn finish(&mut self) -> Result<(), BoxError> {
        lock(self).finish()
    }
}

/// The tracker, even after one of its callers panicked. The lock is the caller's, so it is not one
/// of [`crate::sync`], which the model checker replaces.
fn lock<T: ?Sized>(tracker: &Mutex<T>) -> MutexGuard<'_, T> {
    tracker.lock().unwrap_or_else(PoisonError::into_inner)
}
