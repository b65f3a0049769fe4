//! The one place that names atomics, parking and the hint to a spinning core.
//!
//! Built for the model checker (`cargo xtask loom`), they are loom's, and nothing else changes: the
//! code that it checks is the code that runs.

#[cfg(not(all(test, loom)))]
mod named {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32};
    pub(crate) use std::thread::{Thread, current, park};
}

#[cfg(all(test, loom))]
mod named {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32};
    pub(crate) use loom::thread::{Thread, current, park};
}

pub(crate) use self::named::*;

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::Ordering;
