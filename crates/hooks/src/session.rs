//! What is driven: a session that runs one step at a time, and a step's report.
//!
//! Nothing here knows what a step computes. A report is plain data, so that hooks can be tested
//! without a session and sessions without hooks.

use std::borrow::Cow;

use crate::{BoxError, Failure};

/// Something that runs steps and has a global step.
///
/// Sessions may borrow: nothing asks for `'static`, and `&mut T` is a session when `T` is one.
// R-30
pub trait Session {
    /// Executes one step.
    ///
    /// # Errors
    /// [`RunError`] says what the driver does next: end, create the session again, or fail.
    fn run(&mut self) -> Result<StepReport, RunError>;

    /// The global step as this session sees it now.
    fn global_step(&self) -> i64;

    /// Ends the session: every thread that waits inside it must wake.
    ///
    /// Called once, after the stop was requested and before the threads are joined, so that no
    /// thread has to sit out a grace period (P-1).
    fn close(&mut self);
}

impl<T: Session + ?Sized> Session for &mut T {
    fn run(&mut self) -> Result<StepReport, RunError> {
        (**self).run()
    }

    fn global_step(&self) -> i64 {
        (**self).global_step()
    }

    fn close(&mut self) {
        (**self).close();
    }
}

/// What one executed step reports to the hooks.
///
/// # Examples
/// ```
/// let report = hooks::StepReport::new(7).with_loss(0.25).with_scalar("accuracy", 0.9);
/// assert_eq!(report.scalar("accuracy"), Some(0.9));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StepReport {
    /// The global step once this step was done.
    pub global_step: i64,
    /// The loss, when the step computed one.
    pub loss: Option<f64>,
    /// Further named values, in the order in which they were added.
    pub scalars: Vec<(Cow<'static, str>, f64)>,
}

impl StepReport {
    /// A report of the global step alone.
    pub fn new(global_step: i64) -> Self {
        Self { global_step, loss: None, scalars: Vec::new() }
    }

    /// Adds the loss.
    #[must_use]
    pub fn with_loss(mut self, loss: f64) -> Self {
        self.loss = Some(loss);
        self
    }

    /// Adds a named value.
    #[must_use]
    pub fn with_scalar(mut self, name: impl Into<Cow<'static, str>>, value: f64) -> Self {
        self.scalars.push((name.into(), value));
        self
    }

    /// The first value of that name.
    pub fn scalar(&self, name: &str) -> Option<f64> {
        self.scalars.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    }
}

/// Why a step, or the creation of a session, did not succeed.
// R-30
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is nothing left to train on: a clean end.
    #[error("the input has ended")]
    EndOfInput,
    /// The step gave way to a requested stop: a clean end too.
    #[error("the step gave way to a requested stop")]
    Stopped,
    /// Anything else: the session was lost, or the run cannot go on.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl RunError {
    /// A loss of the session that a new session may mend.
    pub fn recoverable(cause: impl Into<BoxError>) -> Self {
        Failure::recoverable(cause).into()
    }

    /// An error that ends the run.
    pub fn fatal(cause: impl Into<BoxError>) -> Self {
        Failure::fatal(cause).into()
    }
}
