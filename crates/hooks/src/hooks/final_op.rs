//! Computes one last value while the session still lives.
//!
//! A run that failed has no final value.

use std::fmt;

use crate::sync::{Arc, Mutex, lock};
use crate::{BoxError, Failure, Hook, Session};

type Op<'a, S, T> = dyn FnOnce(&mut S) -> Result<T, BoxError> + Send + 'a;

/// Runs an operation at the clean end and keeps its value.
///
/// # Examples
/// ```
/// # use hooks::{RunError, Session, StepReport};
/// # struct Empty;
/// # impl Session for Empty {
/// #     fn run(&mut self) -> Result<StepReport, RunError> { Err(RunError::EndOfInput) }
/// #     fn global_step(&self) -> i64 { 3 }
/// #     fn close(&mut self) {}
/// # }
/// let (hook, value) = hooks::FinalOp::new(|session: &mut Empty| Ok(session.global_step()));
/// hooks::MonitoredSession::builder(|_| Ok(Empty)).hook(hook).start()?.run_until_stopped()?;
/// assert_eq!(value.take(), Some(3));
/// # Ok::<(), hooks::SessionError>(())
/// ```
// R-34
pub struct FinalOp<'a, S: ?Sized, T> {
    op: Option<Box<Op<'a, S, T>>>,
    value: FinalValue<T>,
}

impl<S: ?Sized, T> fmt::Debug for FinalOp<'_, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinalOp").finish_non_exhaustive()
    }
}

impl<'a, S: ?Sized, T> FinalOp<'a, S, T> {
    /// The hook, and where its value will be.
    pub fn new(
        op: impl FnOnce(&mut S) -> Result<T, BoxError> + Send + 'a,
    ) -> (Self, FinalValue<T>) {
        let value = FinalValue { slot: Arc::new(Mutex::new(None)) };
        (Self { op: Some(Box::new(op)), value: value.clone() }, value)
    }
}

impl<S: Session + ?Sized, T: Send> Hook<S> for FinalOp<'_, S, T> {
    fn end(&mut self, session: &mut S) -> Result<(), Failure> {
        if let Some(op) = self.op.take() {
            let value = op(session)?;
            *lock(&self.value.slot) = Some(value);
        }
        Ok(())
    }
}

/// Holds the value of a [`FinalOp`] once the run has ended.
#[derive(Debug)]
pub struct FinalValue<T> {
    slot: Arc<Mutex<Option<T>>>,
}

impl<T> Clone for FinalValue<T> {
    fn clone(&self) -> Self {
        Self { slot: Arc::clone(&self.slot) }
    }
}

impl<T> FinalValue<T> {
    /// Takes the value out; `None` before the end, after a failed run, or when taken already.
    pub fn take(&self) -> Option<T> {
        lock(&self.slot).take()
    }
}
