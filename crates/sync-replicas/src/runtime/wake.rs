//! Waking a task, whatever its waker does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::failure::describe_panic;

/// A waker is foreign code: a panic in it is its own matter.
pub(super) fn wake(waker: Waker) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        tracing::error!(panic = describe_panic(&*panic), "a waker panicked");
    }
}
