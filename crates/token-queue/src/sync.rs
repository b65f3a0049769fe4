//! The one place that names where locks, shared pointers and the blocking wait come from.
//!
//! Built for the model checker (`cargo xtask loom`), they are loom's, and nothing else changes: the
//! code that it checks is the code that runs. Only then, and never in a dependent's build with
//! that flag: loom is there for tests alone.

#[cfg(not(all(test, loom)))]
mod named {
    pub(crate) use std::sync::{Arc, Mutex, MutexGuard};

    pub(crate) use spin_park::block_on;
}

#[cfg(all(test, loom))]
mod named {
    pub(crate) use loom::future::block_on;
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
}

pub(crate) use self::named::*;

pub(crate) use std::sync::PoisonError;
